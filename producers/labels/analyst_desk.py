"""The analysts' desk in event time: cases wait for a free analyst, highest priority first. Pure."""

from bisect import insort
from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ReviewedCase(Generic[C]):
    """A case that an analyst has started to review."""

    case: C
    done_ms: int
    """Event time of the verdict."""


@dataclass(slots=True, order=True)
class _QueuedCase(Generic[C]):
    priority: float
    number: int
    """Of two equal priorities the later arrival goes first: it has waited less of its patience."""
    since_ms: int = field(compare=False)
    share: float = field(compare=False)
    case: C = field(compare=False)


class AnalystDesk(Generic[C]):
    """A bounded number of analysts, and a bounded queue of cases that wait for them.

    A case of an arm that has a share of the cards finds that share of the analysts' time: its review takes as
    long as any, and the analyst is the arm's again after `case_ms / share`. The queue is that much shorter.

    Args:
        analysts: number of analysts who work at once.
        case_ms: event time that one case takes.
        longest_queue: cases that may wait; beyond, the one of lowest priority is dropped.
        patience_ms: a case that has waited longer is dropped.
    """

    def __init__(self, analysts: int, case_ms: int, longest_queue: int, patience_ms: int) -> None:
        self._case_ms = case_ms
        self._longest_queue = longest_queue
        self._patience_ms = patience_ms
        self._free_at = [0] * analysts
        heapify(self._free_at)
        self._arrivals: list[tuple[int, int, float, float, C]] = []
        self._queue: list[_QueuedCase[C]] = []
        self._number = count()
        self._now_ms = 0
        self.crowded_out = 0
        """Cases dropped because the queue was full."""
        self.gone_stale = 0
        """Cases dropped because they had waited too long."""

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._arrivals)

    def add(self, case: C, at_ms: int, priority: float, share: float = 1.0) -> None:
        """Add a case that arrives at an event time; a time in the past counts as now.

        Args:
            share: of the analysts' time and of the queue that the case's arm has.
        """
        heappush(self._arrivals, (max(at_ms, self._now_ms), next(self._number), priority, share, case))

    def advance(self, now_ms: int) -> list[ReviewedCase[C]]:
        """Advance event time to `now_ms`; return the cases whose review has started by then."""
        reviewed = []
        while True:
            arrives_ms = self._arrivals[0][0] if self._arrivals else None
            starts_ms = max(self._free_at[0], self._now_ms) if self._queue and self._free_at else None
            if starts_ms is not None and starts_ms <= now_ms and not _arrives_first(arrives_ms, starts_ms):
                self._now_ms = starts_ms
                queued = self._queue.pop()
                if starts_ms - queued.since_ms > self._patience_ms:
                    self.gone_stale += 1
                    continue
                heappop(self._free_at)
                heappush(self._free_at, starts_ms + round(self._case_ms / queued.share))
                reviewed.append(ReviewedCase(queued.case, starts_ms + self._case_ms))
            elif arrives_ms is not None and arrives_ms <= now_ms:
                _, number, priority, share, case = heappop(self._arrivals)
                self._now_ms = arrives_ms
                insort(self._queue, _QueuedCase(priority, number, arrives_ms, share, case))
                longest = ceil(round(self._longest_queue * share, 6))
                if len(self._queue) > longest + self._idle_analysts(arrives_ms):
                    self._queue.pop(0)
                    self.crowded_out += 1
            else:
                self._now_ms = max(self._now_ms, now_ms)
                return reviewed

    def _idle_analysts(self, at_ms: int) -> int:
        return sum(free_at <= at_ms for free_at in self._free_at)


def _arrives_first(arrives_ms: int | None, starts_ms: int) -> bool:
    """Whether a case arrives before a review starts, or at the same time, and so competes for the analyst."""
    return arrives_ms is not None and arrives_ms <= starts_ms
