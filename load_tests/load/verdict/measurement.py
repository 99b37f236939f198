"""One measurement: what was asked for, and what became of every request, over one or several rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fraudsim.arrays import Doubles, Ints
from load_tests.load.clocks.records import Records
from load_tests.rig.scheduling import NORMAL


@dataclass(frozen=True)
class GeneratorHealth:
    """What the generator says of itself."""

    probe_wakes: int = 0
    probe_late: int = 0
    """Of these, later than the limit for sends."""
    probe_max_ms: float = 0.0
    cpu_s: float = 0.0
    lost_workers: int = 0
    workers: int = 1
    scheduling: str = NORMAL
    """Of its processes: `real time` if all were."""


@dataclass(frozen=True)
class Measurement:
    """The requests of a run. A request that was never sent has no record."""

    kind: str
    """`http` or `stream`."""
    scheduled: int
    """Requests of the schedule; of a partial run those that were due."""
    seconds: float
    """Length of the schedule, over all rounds; of a partial run to where it stopped."""
    records: Records
    rounds: Ints
    """Of each record: the round, between which the target was restarted, from 0."""
    health: GeneratorHealth = GeneratorHealth()
    partial: bool = False
    echo_p99_ms: float | None = None
    """p99 of the same generator against a loopback echo, of a stream's own part against a bare topic; None
    if it was not asked for."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Requests without a good answer, by what was wrong."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """What the report says besides: target, arrivals, environment, processes."""
    costs: Sequence[Any] = ()
    """CPU and memory by process; see `load_tests.load.bill`."""

    @property
    def good(self) -> Records:
        """The requests with a good answer."""
        return self.records[self.records["good"] == 1]

    def latencies_ms(self) -> Doubles:
        """Of every record from the intended time; infinite without a good answer."""
        latencies = (self.records["completed_us"] - self.records["intended_us"]) / 1000
        return np.where(self.records["good"] == 1, latencies, np.inf)
