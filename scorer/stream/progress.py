"""How far the records of one partition have come in this process: delivered, queued, decided."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from scorer.stream.batch import QueuedTransaction
from scorer.stream.resumption import DecidedOffsets

MAX_BACKLOG: Final = 20_000
"""Transactions of one partition that wait to be decided; those beyond are read again later."""
MAX_BACKLOG_BYTES: Final = 16 * 1024 * 1024
"""Likewise, bytes of the decisions that came with them by HTTP."""


@dataclass(slots=True)
class PartitionProgress:
    """One partition that this process decides."""

    decided_before: DecidedOffsets
    """What `decisions` held when the partition was taken over."""
    decided_to: int = field(init=False)
    """Last source offset decided."""
    queued_to: int = field(init=False)
    """Last source offset put into the backlog."""
    backlog: deque[QueuedTransaction] = field(default_factory=deque)
    backlog_bytes: int = 0
    skipped_from: int | None = None
    """First offset that found the backlog full; all after it are skipped too."""

    def __post_init__(self) -> None:
        self.decided_to = self.queued_to = self.decided_before.to

    def offer(self, offset: int, queue: Callable[[], QueuedTransaction]) -> bool:
        """Put an accepted record into the backlog; False if it is there, is decided, or finds no room."""
        if offset <= self.queued_to or self.skipped_from is not None or offset in self.decided_before.beyond:
            return False
        if len(self.backlog) >= MAX_BACKLOG or self.backlog_bytes >= MAX_BACKLOG_BYTES:
            self.skipped_from = offset
            return False
        queued = queue()
        self.backlog.append(queued)
        self.backlog_bytes += len(queued.http_decision or b"")
        self.queued_to = offset
        return True

    def take(self) -> QueuedTransaction:
        """The next of the backlog."""
        queued = self.backlog.popleft()
        self.backlog_bytes -= len(queued.http_decision or b"")
        return queued

    def take_skipped(self) -> int | None:
        """The offset to read again from, once the backlog before it is empty."""
        if self.backlog:
            return None
        offset, self.skipped_from = self.skipped_from, None
        return offset
