"""One run: a world's line under a scenario, and in which weeks each detector alarms."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from dashboards.drift.decided_weeks import WEEK_MS, DecidedRows, DecidedWeeks, watched
from dashboards.drift.detector import FEWEST_WEEKS, BlockDetector
from dashboards.drift.dummies import AlwaysAlarm, FixedCutOff, NeverAlarm, WeekDetector
from dashboards.drift.line.training_weeks import plain, training_weeks
from dashboards.drift.week import WeekRows, WeekSummarizer
from fraudsim.settings import Settings
from producers.world.settings import consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.decided import DecidedStretch
from simulator.line.drifted_traffic import DriftedTraffic
from simulator.line.line import SimulatedLine
from simulator.line.scoring import PaymentColumns, Scoring
from simulator.regimes import REGIMES
from stream_features.offline.columns import hashes
from studies.drift.plan import FIRST_DAY, NONE, QUIET_WEEKS, UNSEEN_WEEKS, WEEKS_APART, DriftPlan, scenarios
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import StudyWorld, WorldSpec, study_world

TRAINING: Final = "against training"
"""The weekly detector whose reference are the vectors of the model's history."""


class DriftFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run. Weeks are numbered from the first tested one."""

    weeks: int
    first_ms: int
    """Event time of the first tested week."""
    change_week: int | None
    """None without a change."""
    alarms: dict[str, list[int]]
    """By detector, the weeks in which it alarms."""
    causes: dict[str, list[str]]
    """By detector, for each alarm what has drifted the furthest."""


class _Watched:
    """A detector, and what it has said."""

    def __init__(self, detector: WeekDetector) -> None:
        self.detector = detector
        self.weeks: list[int] = []
        self.causes: list[str] = []

    def add(self, summarizer: WeekSummarizer, rows: WeekRows, number: int) -> None:
        """Take in a week; alarms count from week 0 on."""
        verdict = self.detector.add(summarizer.summarize(rows))
        if verdict.alarm and number >= 0:
            self.weeks.append(number)
            drifted = verdict.drifted
            self.causes.append(drifted[0].name if drifted else "")


def run_cell(plan: DriftPlan, cell: StudyCell, settings: Settings, scratch: Path) -> DriftFigures:
    """Run one cell.

    Raises:
        FraudsimError: its world has no fraud to train on, or a file cannot be written.
    """
    start_day = FIRST_DAY + 7 * (WEEKS_APART * cell.seed % 52)
    # One world for all scenarios of a seed, so that its model is fitted once.
    spec = WorldSpec(plan.cards, plan.history_days, plan.days(NONE), world=(("start_day", float(start_day)),))
    world = study_world(spec, cell.seed, settings, scratch)
    scenario = scenarios(plan.weeks_after)[cell.condition]
    traffic = DriftedTraffic(
        **vars(replace(world.traffic, days=plan.days(cell.condition))),
        drifts=() if scenario.drift is None else (scenario.drift,),
        feeds=() if scenario.feed is None else (scenario.feed,),
    )
    regime = REGIMES["real-time"]
    fitted = world.fit(regime)
    assert fitted is not None
    policy = load_policy(settings.policy or SHIPPED)
    limits = replace(policy.limits, flag_from_probability=fitted.flag_from)
    scoring = Scoring(fitted.arm, replace(policy, limits=limits), "champion")
    line = SimulatedLine(traffic, regime, scoring, consequences(settings), reacting=False)
    detectors = (BlockDetector(), AlwaysAlarm(), NeverAlarm(), FixedCutOff())
    watched = {detector.name: _Watched(detector) for detector in detectors}
    summarizer = WeekSummarizer(cell.seed)
    by_training, training_summarizer = _trained(world, cell.seed)
    weeks, first_ms = DecidedWeeks(traffic.start_ms), traffic.start_ms + UNSEEN_WEEKS * WEEK_MS
    for decided in line.run():
        for rows in weeks.add(rows_of(decided), decided.labels, decided.stretch.end_ms):
            number = int(rows.start_ms - traffic.start_ms) // WEEK_MS - UNSEEN_WEEKS
            for one in watched.values():
                one.add(summarizer, rows, number)
            by_training.add(training_summarizer, rows.features_only(), number)
    watched[TRAINING] = by_training
    return DriftFigures(
        weeks=plan.days(cell.condition) // 7 - UNSEEN_WEEKS,
        first_ms=first_ms,
        change_week=None if cell.condition == NONE else QUIET_WEEKS,
        alarms={name: one.weeks for name, one in watched.items()},
        causes={name: one.causes for name, one in watched.items()},
    )


def rows_of(decided: DecidedStretch) -> DecidedRows:
    """The payments of a stretch that were made."""
    rows, table = np.flatnonzero(decided.present), decided.stretch.transactions
    payments = PaymentColumns.of(table)
    return DecidedRows(
        table["ts"].to_numpy()[rows],
        hashes(table, "card_id")[rows],
        plain(table["tx_id"]).take(pa.array(rows)),
        watched(decided.vectors[rows]),
        decided.scores[rows],
        decided.probabilities[rows],
        decided.action[rows].astype(np.int64),
        payments.amount[rows],
        payments.can_hold[rows],
    )


def _trained(world: StudyWorld, seed: int) -> tuple[_Watched, WeekSummarizer]:
    """The weekly detector whose reference are the last weeks of the history the model was trained on."""
    watched_training, summarizer = _Watched(BlockDetector(FEWEST_WEEKS)), WeekSummarizer(seed)
    vectors = world.vectors(REGIMES["real-time"])
    for week in training_weeks(world.traffic.past, vectors, world.traffic.start_ms):
        watched_training.add(summarizer, week, -1)
    return watched_training, summarizer
