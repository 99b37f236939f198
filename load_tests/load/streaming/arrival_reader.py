"""Reads back what came of a load's transactions, and keeps when each arrived and the server's stamps."""

from typing import Any, Final, NamedTuple

import msgspec

from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings
from load_tests.load.generators.answers import AnswerStamps, stamp_values
from runner.record.topic_follower import TopicFollower


class _LoadDecision(msgspec.Struct, frozen=True):
    tx_id: str
    stamps: AnswerStamps = AnswerStamps()


_decode: Final = msgspec.json.Decoder(_LoadDecision).decode


class LoadArrival(NamedTuple):
    """The first record about a transaction."""

    arrived_us: int
    """When it was read; wall clock."""
    appended_us: int
    """When the broker appended it, to the ms."""
    stamps: tuple[int, ...]


class ArrivalReader:
    """Reads `decisions` from its end on, in a thread of its own, for the length of a `with` block."""

    def __init__(self, settings: Settings, id_prefix: str, topic_prefix: str = "") -> None:
        """`id_prefix` is that of the load's transaction ids; a number follows it."""
        self._id_prefix = id_prefix
        self.arrivals: dict[int, LoadArrival] = {}
        """By number."""
        self._follower = TopicFollower(settings, topic_prefix + DECISIONS, self._keep, "load", from_end=True)

    def __enter__(self) -> "ArrivalReader":
        self._follower.__enter__()
        self.check()
        return self

    def __exit__(self, *_: object) -> None:
        self._follower.__exit__()

    def check(self) -> None:
        """Raises what ended the reading."""
        self._follower.check()

    def _keep(self, record: Any, arrived_us: int) -> None:
        if self._id_prefix.encode() not in record.value:
            return  # the line's own traffic
        decision = _decode(record.value)
        if decision.tx_id.startswith(self._id_prefix):
            number = int(decision.tx_id.removeprefix(self._id_prefix))
            arrival = LoadArrival(arrived_us, 1000 * record.timestamp, stamp_values(decision.stamps))
            self.arrivals.setdefault(number, arrival)
