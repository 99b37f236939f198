"""What a generator sent of one plan, and the measurement that one or several of these make."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from load_tests.load.clocks.records import DTYPE, Records
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.verdict.measurement import GeneratorHealth, Measurement


@dataclass(frozen=True)
class SentLoad:
    """What was sent of one plan."""

    scheduled: int
    """Requests of the schedule; if it was stopped, those that were due."""
    records: Records
    health: GeneratorHealth
    errors: dict[str, int]
    partial: bool
    start_us: int
    seconds: float


def measurement_of(kind: str, sent_rounds: Sequence[SentLoad], echo_ms: float | None) -> Measurement:
    """One measurement of all rounds."""
    records = [sent.records for sent in sent_rounds] or [np.zeros(0, dtype=DTYPE)]
    healths = [sent.health for sent in sent_rounds] or [GeneratorHealth()]
    errors: Counter[str] = Counter()
    for sent in sent_rounds:
        errors.update(sent.errors)
    return Measurement(
        kind=kind,
        scheduled=sum(sent.scheduled for sent in sent_rounds),
        seconds=sum(sent.seconds for sent in sent_rounds),
        records=np.concatenate(records),
        rounds=np.repeat(np.arange(len(records)), [len(part) for part in records]),
        health=GeneratorHealth(
            probe_wakes=sum(health.probe_wakes for health in healths),
            probe_late=sum(health.probe_late for health in healths),
            probe_max_ms=max(health.probe_max_ms for health in healths),
            cpu_s=sum(health.cpu_s for health in healths),
            lost_workers=max(health.lost_workers for health in healths),
            workers=healths[0].workers,
            scheduling=healths[0].scheduling,
        ),
        partial=not sent_rounds or any(sent.partial for sent in sent_rounds),
        echo_p99_ms=echo_ms,
        errors=dict(errors),
    )


def nothing_sent(plan: LoadPlan) -> SentLoad:
    """The load of a generator that could not begin."""
    return SentLoad(
        scheduled=len(plan.schedule()),
        records=np.zeros(0, dtype=DTYPE),
        health=GeneratorHealth(),
        errors={},
        partial=False,
        start_us=0,
        seconds=plan.seconds,
    )
