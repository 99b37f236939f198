"""The interface between the sender and whatever makes a live stream: a world, a file, a test."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import msgspec


class RawValue(msgspec.Struct, frozen=True):
    """Bytes to be sent as they are, not as an encoded event: malformed records."""

    value: bytes


class Item(NamedTuple):
    """One record to be sent when the run's clock reaches `due_ms` (event time)."""

    due_ms: int
    topic: str
    key: str
    event: msgspec.Struct
    campaign_id: str | None = None
    """Of transactions and their truth: the fraud campaign that they belong to."""


class Source(Protocol):
    """A seeded or file-ordered sequence: every call of `items` yields the same records in the same order.

    A record's ordinal is its index among the records of its topic, from 0. `name` identifies the sequence in
    the log, so it must change with whatever changes the sequence.
    """

    name: str
    start_ms: int
    """Event time at which the live stream starts: everything before it is history."""

    def items(self) -> Iterator[Item]:
        """Every record in order of `due_ms`, transactions at their `ts`, labels at their `known_at`."""
        ...
