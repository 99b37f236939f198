"""The weekly detector on a line: weeks of its archive against the line's own, and against training's."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dashboards.drift.decided_weeks import WEEK_MS, DecidedWeeks
from dashboards.drift.detector import BlockDetector, WeekVerdict
from dashboards.drift.line.archived_decisions import ArchivedDecisions
from dashboards.drift.line.deciders import Deciders
from dashboards.drift.line.week_records import (
    MatureRecord,
    WeekRecord,
    WeekStatus,
    read_weeks,
    signal_records,
    write_weeks,
)
from dashboards.drift.week import MatureWeek, WeekRows, WeekSummarizer
from fraudsim.errors import FraudsimError

LINE: Final = "line"
TRAINING: Final = "training"
LABELS_MS: Final = WEEK_MS
"""A week is judged when a label from after it is there, or decisions that are younger than it by this."""


@dataclass
class _Reference:
    """Weeks to compare with, and the cells they are counted in."""

    features_only: bool
    detector: BlockDetector = field(default_factory=BlockDetector)
    summarizer: WeekSummarizer = field(default_factory=WeekSummarizer)

    def add(self, week: WeekRows) -> WeekVerdict:
        week = week.features_only() if self.features_only else week
        return self.detector.add(self.summarizer.summarize(week))


class WeekWatch:
    """Judges the weeks of a run as its archive grows; each file of it is read once.

    What it says follows from the archive alone, so one that was killed says the same again, and writes only
    what is not there yet.
    """

    def __init__(self, run_dir: Path, start_ms: int, training: Sequence[WeekRows] = ()) -> None:
        """
        Args:
            start_ms: event time at which the live stream begins.
            training: weeks of the history, as a reference until another champion decides.

        Raises:
            FraudsimError: what was said before cannot be read, or is of weeks that begin at other times.
        """
        self._run_dir, self._start_ms = run_dir, start_ms
        self._archive, self._weeks = ArchivedDecisions(run_dir), DecidedWeeks(start_ms)
        self.records = read_weeks(run_dir)
        if self.records and (self.records[0].start_ms - start_ms) % WEEK_MS:
            raise FraudsimError(
                f"{run_dir}: its drift/weeks.json is of another log; remove it, and `fraudsim drift` makes "
                "it again"
            )
        self._references = {LINE: _Reference(features_only=False)}
        if training:
            self._references[TRAINING] = reference = _Reference(features_only=True)
            for week in training:
                reference.add(week)
        self._deciders = Deciders(start_ms)
        self._champion = ""
        """Of the week before."""
        self._reference_weeks = 0

    @property
    def now_ms(self) -> int:
        """Event time before which everything has been decided and read."""
        return self._archive.whole_ms

    def look(self) -> list[WeekRecord]:
        """Read what is new, and judge the weeks that are over; returns those not judged before.

        Raises:
            FraudsimError: a file cannot be read or written.
        """
        new: list[WeekRecord] = []
        last_ms = self.records[-1].end_ms if self.records else 0
        for part in self._archive.read():
            for version, ts in part.deciders.items():
                self._deciders.add(version, ts)
            until_ms = min(
                self._archive.whole_ms, max(self._archive.newest_label_ms, self._archive.whole_ms - LABELS_MS)
            )
            for week in self._weeks.add(part.rows, part.labels, until_ms):
                record = self._record(week)
                if record.end_ms > last_ms:
                    new.append(record)
        if new:
            self.records += new
            write_weeks(self._run_dir, self.records)
        return new

    def _record(self, week: WeekRows) -> WeekRecord:
        start_ms = self._start_of(week.start_ms)
        status: WeekStatus = "reference"
        signals = []
        if self._has_another_champion(start_ms):
            self._references, self._reference_weeks = {LINE: _Reference(features_only=False)}, 0
            status = "promotion"
        else:
            verdicts = {name: reference.add(week) for name, reference in self._references.items()}
            signals = [s for name, verdict in verdicts.items() for s in signal_records(verdict, name)]
            if any(verdict.ready for verdict in verdicts.values()):
                status = "alarm" if any(signal.beyond for signal in signals) else "quiet"
            self._reference_weeks += not verdicts[LINE].ready
        return WeekRecord(
            start_ms=start_ms, end_ms=start_ms + WEEK_MS, status=status, champion=self._champion,
            payments=len(week.cards), reference_weeks=self._reference_weeks, signals=signals,
            mature=None if week.mature is None else self._mature(week.mature),
        )  # fmt: skip

    def _has_another_champion(self, start_ms: int) -> bool:
        before, self._champion = self._champion, self._deciders.champion(start_ms)
        return self._deciders.is_mixed(start_ms) or before not in ("", self._champion)

    def _mature(self, mature: MatureWeek) -> MatureRecord:
        start_ms = self._start_of(mature.first_ms)
        mixed = self._deciders.is_mixed(start_ms)
        return MatureRecord(
            champion="" if mixed else self._deciders.champion(start_ms),
            cost_share=mature.cost_share,
            at_stake_cents=mature.at_stake_cents,
        )

    def _start_of(self, ms: int) -> int:
        """Where the week of an event time begins."""
        return self._start_ms + (ms - self._start_ms) // WEEK_MS * WEEK_MS
