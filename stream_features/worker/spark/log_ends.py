"""How fresh a batch makes the state, from the log's ends as they were asked for. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final

MOST: Final = 10_000
"""Answers kept: a quarter of an hour at ten a second."""


class LogEnds:
    """The log's ends at times in the past."""

    def __init__(self) -> None:
        self._answers: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=MOST)

    def note(self, asked_at_ms: int, ends: Sequence[int]) -> None:
        """Note the ends that the broker gave to a question asked at a wall-clock time."""
        self._answers.append((asked_at_ms, tuple(ends)))

    def fresh_at_ms(self, folded_to: Sequence[int]) -> int | None:
        """Wall-clock time up to which the log is complete before these offsets, by source; None if unknown.

        What was appended before a question lies before the ends in its answer.
        """
        fresh_at_ms = None
        for asked_at_ms, ends in self._answers:
            if any(end > folded for end, folded in zip(ends, folded_to, strict=True)):
                break
            fresh_at_ms = asked_at_ms
        while len(self._answers) > 1 and fresh_at_ms is not None and self._answers[1][0] <= fresh_at_ms:
            self._answers.popleft()
        return fresh_at_ms

    def lag(self, folded_to: Sequence[int]) -> int:
        """Records between these offsets and the newest known ends."""
        if not self._answers:
            return 0
        return sum(max(0, end - folded) for end, folded in zip(self._answers[-1][1], folded_to, strict=True))
