"""The slowest requests, each with what happened while it was under way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from load_tests.load.autopsy.happenings import Happening
from load_tests.load.autopsy.waterfall import TITLES, stages_of
from load_tests.load.clocks.lateness import Lateness
from load_tests.load.clocks.records import Records

SLOWEST: Final = 20


@dataclass(frozen=True)
class SlowRequest:
    """One slow request."""

    number: int
    intended_us: int
    latency_ms: float
    longest_stage: str
    longest_ms: float
    late: bool
    blocked: bool
    happenings: Sequence[Happening] = field(default_factory=list)

    @property
    def explanation(self) -> str:
        """What is known of it, in words."""
        words = ["blocked: no sender was free"] if self.blocked else []
        words += ["the generator was late"] if self.late else []
        words += [
            f"{event.kind} {(event.end_us - event.start_us) / 1000:.1f} ms {event.detail}".rstrip()
            for event in self.happenings
        ]
        return "; ".join(words)


def slowest_requests(
    records: Records, lateness: Lateness, happenings: Sequence[Happening] = (), count: int = SLOWEST
) -> list[SlowRequest]:
    """The slowest good answers from the intended time, the slowest first."""
    latencies_us = np.where(records["good"] == 1, records["completed_us"] - records["intended_us"], -1)
    slow = []
    for index in np.argsort(-latencies_us, kind="stable")[:count]:
        if latencies_us[index] < 0:
            break
        record = records[index]
        stages = stages_of(record)
        end = max(stages, key=lambda mark: stages[mark])
        start_us, end_us = int(record["intended_us"]), int(record["completed_us"])
        slow.append(
            SlowRequest(
                number=int(record["number"]),
                intended_us=start_us,
                latency_ms=int(latencies_us[index]) / 1000,
                longest_stage=TITLES[end],
                longest_ms=stages[end],
                late=bool(lateness.late[index]),
                blocked=bool(lateness.blocked[index]),
                happenings=[e for e in happenings if e.start_us < end_us and e.end_us > start_us],
            )
        )
    return slow
