"""The records that a sender has to send, with their ordinals, and those added while it sends."""

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from producers.sources.prefetch import Prefetch
from producers.sources.source import Item, Source

NumberedItem = tuple[Item, int]
"""A record and its ordinal."""


class OrdinalsInLog(Protocol):
    """The ordinals of a topic that the log holds."""

    @property
    def maximum(self) -> int:
        """-1 without any."""
        ...

    def __contains__(self, ordinal: int) -> bool: ...


class MissingRecords:
    """The records of a source that are due before its end and that the log lacks, with their ordinals."""

    def __init__(self, source: Source, logged: Mapping[str, OrdinalsInLog], end_ms: float) -> None:
        self._source = source
        self._logged = logged
        self._end_ms = end_ms
        self._logged_to_ms = 0
        self._unpassed = {topic for topic, ordinals in logged.items() if ordinals.maximum >= 0}
        """Topics of which the log holds records that have not been passed yet."""

    @property
    def logged_to_ms(self) -> int | None:
        """Event time up to which the log may hold records; None until all that it holds have been passed."""
        return None if self._unpassed else self._logged_to_ms

    def items(self) -> Iterator[NumberedItem]:
        """The records, in order of `due_ms`."""
        ordinals: Counter[str] = Counter()
        for item in self._source.items():
            if item.due_ms >= self._end_ms:
                return
            ordinal = ordinals[item.topic]
            ordinals[item.topic] += 1
            logged = self._logged[item.topic]
            if ordinal in logged:
                self._logged_to_ms = item.due_ms
            if ordinal == logged.maximum:
                self._unpassed.discard(item.topic)
            if ordinal not in logged:
                yield item, ordinal


class RecordQueue:
    """The missing records in order of `due_ms`, and others between them.

    What is added takes ordinals as if the source had always had it, so it must be due after everything that
    the log holds: see `producers.controls.controlled_source`.
    """

    def __init__(
        self, items: Prefetch[NumberedItem], logged: Mapping[str, OrdinalsInLog], end_ms: float
    ) -> None:
        self._items = items
        self._end_ms = end_ms
        self._main: NumberedItem | None = None
        self._added: list[tuple[int, int, Item]] = []
        """Heap of (due time, sequence number, record)."""
        self._sequence = count()
        self._passed = Counter({topic: ordinals.maximum + 1 for topic, ordinals in logged.items()})
        """By topic, the next ordinal of the source itself."""
        self._inserted: Counter[str] = Counter()
        """By topic, added records that have been sent."""

    def head(self, stop: threading.Event) -> NumberedItem | None:
        """The next record; None at the end, or if `stop` is set while there is none."""
        if self._main is None:
            self._main = self._items.next(stop)
        if self._added_is_next():
            item = self._added[0][2]
            return item, self._passed[item.topic] + self._inserted[item.topic]
        if self._main is None:
            return None
        item, ordinal = self._main
        return item, ordinal + self._inserted[item.topic]

    def advance(self) -> None:
        """Pass the record that `head` gives."""
        if self._added_is_next():
            self._inserted[heappop(self._added)[2].topic] += 1
        elif self._main is not None:
            item, ordinal = self._main
            self._passed[item.topic] = max(self._passed[item.topic], ordinal + 1)
            self._main = None

    def add(self, items: Sequence[Item]) -> None:
        """Add records; those due at or after the end of the stream are left out."""
        for item in items:
            if item.due_ms < self._end_ms:
                heappush(self._added, (item.due_ms, next(self._sequence), item))

    def _added_is_next(self) -> bool:
        due_ms = math.inf if self._main is None else self._main[0].due_ms
        return bool(self._added) and self._added[0][0] < due_ms
