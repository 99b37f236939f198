"""The analysts' desk: cases wait for a free analyst, the most valuable first, in event time. Pure."""

from bisect import insort
from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ReviewedCase(Generic[C]):
    """A case that an analyst has taken up."""

    case: C
    done_ms: int
    """Event time at which the verdict is given."""


@dataclass(slots=True, order=True)
class _QueuedCase(Generic[C]):
    worth: float
    number: int
    """Of two worth the same, the later one goes first; it has all its patience."""
    since_ms: int = field(compare=False)
    case: C = field(compare=False)


class AnalystDesk(Generic[C]):
    """A bounded number of analysts and of cases that wait for them.

    Args:
        analysts: how many work at once.
        case_ms: what one case takes, event time.
        longest_queue: cases that may wait; beyond, the one worth the least goes unseen.
        patience_ms: a case that has waited longer goes unseen.
    """

    def __init__(self, analysts: int, case_ms: int, longest_queue: int, patience_ms: int) -> None:
        self._case_ms = case_ms
        self._longest = longest_queue
        self._patience_ms = patience_ms
        self._free_at = [0] * analysts
        heapify(self._free_at)
        self._arriving: list[tuple[int, int, float, C]] = []
        self._waiting: list[_QueuedCase[C]] = []
        self._number = count()
        self._now_ms = 0
        self.crowded_out = 0
        """Cases that went unseen because the queue was full."""
        self.gone_stale = 0
        """Cases that went unseen because they had waited too long."""

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._arriving)

    def add(self, case: C, at_ms: int, worth: float) -> None:
        """A case that reaches the desk at an event time; one of the past counts as of now."""
        heappush(self._arriving, (max(at_ms, self._now_ms), next(self._number), worth, case))

    def advance(self, now_ms: int) -> list[ReviewedCase[C]]:
        """Let event time go on to `now_ms`: the cases taken up until then."""
        seen = []
        while True:
            arrives_ms = self._arriving[0][0] if self._arriving else None
            starts_ms = max(self._free_at[0], self._now_ms) if self._waiting and self._free_at else None
            if starts_ms is not None and starts_ms <= now_ms and not _before(arrives_ms, starts_ms):
                self._now_ms = starts_ms
                waiting = self._waiting.pop()
                if starts_ms - waiting.since_ms > self._patience_ms:
                    self.gone_stale += 1
                    continue
                heappop(self._free_at)
                heappush(self._free_at, starts_ms + self._case_ms)
                seen.append(ReviewedCase(waiting.case, starts_ms + self._case_ms))
            elif arrives_ms is not None and arrives_ms <= now_ms:
                _, number, worth, case = heappop(self._arriving)
                self._now_ms = arrives_ms
                insort(self._waiting, _QueuedCase(worth, number, arrives_ms, case))
                if len(self._waiting) > self._longest + self._idle(arrives_ms):
                    self._waiting.pop(0)
                    self.crowded_out += 1
            else:
                self._now_ms = max(self._now_ms, now_ms)
                return seen

    def _idle(self, at_ms: int) -> int:
        return sum(free_at <= at_ms for free_at in self._free_at)


def _before(arrives_ms: int | None, starts_ms: int) -> bool:
    """Whether a case comes in before, or just when, an analyst turns to the queue: it is considered too."""
    return arrives_ms is not None and arrives_ms <= starts_ms
