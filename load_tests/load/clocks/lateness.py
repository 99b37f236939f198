"""Late and blocked: what kept a request from its time, the generator or a target that held every sender."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Flags, Ints
from load_tests.load.clocks.records import Records

LATE_FLOOR_US: Final = 1_000
LATE_SHARE_OF_OBJECTIVE: Final = 0.02


def late_limit_us(objective_ms: float | None) -> int:
    """Above this a send is late: 1 ms, or 2 % of the objective if that is longer."""
    share_us = LATE_SHARE_OF_OBJECTIVE * (objective_ms or 0.0) * 1000
    return max(LATE_FLOOR_US, round(share_us))


@dataclass(frozen=True)
class Lateness:
    """Each request's delay by the generator, and whether a target kept every sender from it."""

    delays_us: Ints
    """From the intended time, or from when the first sender was free if that is later, to when it began."""
    late: Flags
    blocked: Flags
    """No sender was free at the intended time. It counts from then, and is the target's doing."""
    limit_us: int

    @property
    def late_count(self) -> int:
        return int(self.late.sum())

    @property
    def blocked_count(self) -> int:
        return int(self.blocked.sum())


def lateness_of(records: Records, limit_us: int) -> Lateness:
    """The lateness of requests that were sent."""
    sendable_us = np.maximum(records["intended_us"], records["free_us"])
    delays_us = np.maximum(records["ready_us"] - sendable_us, 0)
    return Lateness(delays_us, delays_us > limit_us, records["free_us"] > records["intended_us"], limit_us)
