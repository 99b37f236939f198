"""Which ordinals of a source the log holds already, so that a restarted sender sends the missing ones. Pure.

Acknowledgements of different partitions come in no common order: ordinal 105 may be in partition 1 while
103, meant for partition 0, was lost with the process. So the ends of all partitions are read back, the
ordinals in them are collected, and what is missing below the greatest of them is sent again.

A sender never goes `max_outstanding` records beyond the oldest unacknowledged one, so every ordinal up to
maximum − max_outstanding is in the log. Reading each partition back to an ordinal at or below
maximum − 2·max_outstanding is enough even if records were sent again before, out of order: one appended
earlier in that partition cannot lie as far ahead as the candidates.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from fraudsim.log import headers as h
from producers.outbox.outbox import MAX_OUTSTANDING

FIRST_STEP: Final = 2_000
"""Offsets read back at first in each partition; doubled until the read-back is far enough."""

P = TypeVar("P", bound=Hashable)
OffsetRange = tuple[int, int]
"""Offsets [first, end)."""
ReadOrdinals = Callable[[Mapping[P, OffsetRange]], Awaitable[Mapping[P, Iterable[int]]]]
"""Reads a range of offsets in each partition and returns the ordinals of the source's records in it."""


@dataclass(frozen=True)
class LoggedOrdinals:
    """The ordinals of one topic that the log holds: 0 to `maximum` without `missing`."""

    maximum: int = -1
    missing: frozenset[int] = frozenset()

    def __contains__(self, ordinal: int) -> bool:
        return ordinal <= self.maximum and ordinal not in self.missing

    def __len__(self) -> int:
        return self.maximum + 1 - len(self.missing)


def ordinal_of(headers: h.Headers, source: bytes) -> int | None:
    """The ordinal of a record of `source`; None if it is of HTTP, another source, or not readable."""
    pairs = list(headers)
    return h.int_header(pairs, h.ORDINAL) if h.header(pairs, h.SOURCE) == source else None


def logged_ordinals(read_ordinals: Iterable[int], max_outstanding: int = MAX_OUTSTANDING) -> LoggedOrdinals:
    """What the log holds, from the ordinals that `read_back` returned."""
    ordinals = set(read_ordinals)
    if not ordinals:
        return LoggedOrdinals()
    maximum = max(ordinals)
    candidates = range(max(0, maximum - max_outstanding + 1), maximum)
    return LoggedOrdinals(maximum, frozenset(o for o in candidates if o not in ordinals))


async def read_back(
    log: Mapping[P, OffsetRange],
    read: ReadOrdinals[P],
    max_outstanding: int = MAX_OUTSTANDING,
    first_step: int = FIRST_STEP,
) -> set[int]:
    """The ordinals at the end of every partition of a topic, as far back as `logged_ordinals` needs them.

    Args:
        log: first and end offset of each partition.
        read: reads ranges of offsets.
    """
    read_ordinals: set[int] = set()
    lowest: dict[P, int] = {}
    back_to = {partition: end for partition, (_, end) in log.items()}
    step = first_step
    while True:
        low_enough = max(read_ordinals, default=0) - 2 * max_outstanding
        ranges = {
            partition: (max(log[partition][0], end - step), end)
            for partition, end in back_to.items()
            if end > log[partition][0] and not (partition in lowest and lowest[partition] <= low_enough)
        }
        if not ranges:
            return read_ordinals
        for partition, ordinals in (await read(ranges)).items():
            for ordinal in ordinals:
                read_ordinals.add(ordinal)
                lowest[partition] = min(ordinal, lowest.get(partition, ordinal))
        back_to.update({partition: first for partition, (first, _) in ranges.items()})
        step *= 2
