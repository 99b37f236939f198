"""A timeline from a run that has ended."""

import json
from pathlib import Path

from dashboards.drift.decided_weeks import WEEK_MS
from dashboards.drift.line.week_records import read_weeks
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.timeline.marks import marks_of
from lifecycle.timeline.plan import TimelinePlan
from lifecycle.timeline.result import Timeline, TimelineWeek
from lifecycle.timeline.weekly_money import costs_by_week, ledger_by_week
from model.artefact.files import read_manifest
from model.registry.versions import read_aliases
from producers.history.reader import read_history


def timeline_of(run: Path, plan: TimelinePlan, settings: Settings) -> Timeline:
    """What a run of the plan says.

    Raises:
        FraudsimError: the run has not ended, or lacks a file.
    """
    try:
        summary = json.loads((run / "summary.json").read_text())
    except (OSError, ValueError):
        raise FraudsimError(
            f"{run}: it has no summary.json, so it has not ended; remove it and begin anew"
        ) from None
    history = read_history(run / "history").manifest
    start_ms, cards, registry = history.end_ms, history.cards, run / "models"
    versions = (read_manifest(run / "model").version, read_aliases(registry).champion)
    records = {record.start_ms: record for record in read_weeks(run)}
    money = ledger_by_week(run, settings, start_ms, cards)
    costs = costs_by_week(run, registry, versions, start_ms, cards)
    weeks = []
    for number in range(plan.weeks):
        if number not in money or number not in costs:
            continue
        record, week = records.get(start_ms + number * WEEK_MS), money[number]
        beyond = [] if record is None else record.beyond
        weeks.append(
            TimelineWeek(
                number=number,
                start_ms=start_ms + number * WEEK_MS,
                payments=week["payments"],
                frauds=week["frauds"],
                fraud_paid=week["fraud_paid"],
                insults=week["insult"],
                friction=week["friction"],
                reviews=week["review"],
                first_champion=costs[number][0],
                last_champion=costs[number][1],
                status="" if record is None else record.status,
                furthest=beyond[0].name if beyond else "",
            )
        )
    seconds = summary["seconds"]
    return Timeline(
        start_ms=start_ms,
        cards=cards,
        rate=sum(week.payments for week in weeks) / seconds,
        speed=summary["speed"],
        wall_seconds=seconds,
        p99_ms=summary["latency_ms"]["p99"],
        lost=summary["lost"],
        parity_mismatches=summary["parity"]["mismatches"],
        first_champion=versions[0],
        last_champion=versions[1],
        weeks=weeks,
        marks=marks_of(list(records.values()), run / "retraining", start_ms + plan.change_week * WEEK_MS),
    )
