"""What the transport delivers to the fold loop, and the rewinds that the loop asks for."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from faust.types import TP

from fraudsim.log.decoding.fetching import bytes_of

MAX_QUEUED_RECORDS: Final = 20_000
"""Records delivered and not folded yet; beyond that the agent waits."""
MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
"""Likewise, what these records take in memory."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The records that one poll returned from one partition."""

    epoch: int
    """Number of rewinds so far: records fetched before the last rewind have a lower epoch."""
    topic: str
    partition: int
    records: list[Any]
    """aiokafka records, in offset order; empty where the poll passed only markers."""
    first: int
    """`records` are complete from this offset on …"""
    end: int
    """… up to this one, exclusive."""


class Inbox:
    """Between the transport, which fills it, and the loop, which empties it and decides where to read."""

    def __init__(self) -> None:
        self.epoch = 0
        """Rewinds that the transport has taken."""
        self.position_lost = True
        """Slots have to be taken over anew, and the log rewound to their watermarks."""
        self.wake_up = asyncio.Event()
        """Set when the loop has something to do."""
        self._expected_epoch = 0
        self._rewind: Mapping[TP, int] | None = None
        self._queue: deque[tuple[Delivery, int]] = deque()
        self._queued_records = 0
        self._queued_bytes = 0
        self._drained = asyncio.Event()

    # The transport's side

    def take_rewind(self) -> Mapping[TP, int] | None:
        """The offsets to seek to, or None; each rewind once. Later deliveries carry the new `epoch`."""
        offsets, self._rewind = self._rewind, None
        if offsets is not None:
            self.epoch += 1
        return offsets

    def mark_position_lost(self) -> None:
        """Record that reading went on elsewhere, or that a write failed: a rewind is due."""
        self.position_lost = True
        self.wake_up.set()

    async def deliver(self, delivery: Delivery) -> None:
        """Queue a delivery of the agent; waits while too much is queued."""
        size = sum(map(bytes_of, delivery.records))
        while self._queued_records > MAX_QUEUED_RECORDS or self._queued_bytes > MAX_QUEUED_BYTES:
            self._drained.clear()
            await self._drained.wait()
        self._queue.append((delivery, size))
        self._queued_records += len(delivery.records)
        self._queued_bytes += size
        self.wake_up.set()

    # The loop's side

    def mark_position_known(self) -> None:
        """Record that the watermarks were read again; a rewind follows where slots are owned."""
        self.position_lost = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is queued."""
        return not self._queue

    @property
    def rewind_taken(self) -> bool:
        """Whether the transport has taken the last rewind."""
        return self.epoch == self._expected_epoch

    def take(self) -> Delivery | None:
        """The next delivery; None where it was fetched before the last rewind, or nothing is queued."""
        if not self._queue:
            return None
        delivery, size = self._queue.popleft()
        self._queued_records -= len(delivery.records)
        self._queued_bytes -= size
        self._drained.set()
        return delivery if delivery.epoch == self._expected_epoch else None

    def clear(self) -> None:
        """Drop what is queued."""
        self._queue.clear()
        self._queued_records = self._queued_bytes = 0
        self._drained.set()

    def rewind_to(self, offsets: Mapping[TP, int]) -> None:
        """Ask the transport to read on from these offsets; what was delivered before is dropped."""
        self.clear()
        self._rewind = offsets
        self._expected_epoch = self.epoch + 1
