"""Where a killed sender goes on: which ordinals of its source the log holds already. Pure but for `read`.

Acknowledgements of different partitions come in no common order: ordinal 105 may stand in partition 1 while
103, meant for partition 0, was lost with the process. So the ends of all partitions are read back, the
ordinals found there are gathered, and what is missing below the greatest of them is sent again.

A sender never goes `max_outstanding` records beyond the oldest one without acknowledgement, so every ordinal
up to maximum − max_outstanding is in the log. Going back to an ordinal at or below
maximum − 2·max_outstanding in a partition is enough even if records were sent again before, out of order:
one appended earlier in that partition cannot lie as far ahead as the candidates.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from fraudsim.log import headers as h

MAX_OUTSTANDING: Final = 20_000
"""Most records that a sender hands over from the oldest one without acknowledgement on."""
FIRST_STEP: Final = 2_000
"""Offsets read back at first in each partition; doubled as long as that is not enough."""

P = TypeVar("P", bound=Hashable)
Range = tuple[int, int]
"""Offsets [first, end)."""
ReadOrdinals = Callable[[Mapping[P, Range]], Mapping[P, Iterable[int]]]
"""Reads a range of offsets in each partition: the ordinals of the source's records found in it."""


@dataclass(frozen=True)
class Present:
    """The ordinals of one topic that the log holds: all up to `maximum` but the `missing` ones."""

    maximum: int = -1
    missing: frozenset[int] = frozenset()

    def __contains__(self, ordinal: int) -> bool:
        return ordinal <= self.maximum and ordinal not in self.missing

    def __len__(self) -> int:
        return self.maximum + 1 - len(self.missing)


def own_ordinal(headers: h.Headers, source: bytes) -> int | None:
    """The ordinal of a record if it comes from the source, else None (HTTP, other sources, junk)."""
    pairs = list(headers)
    return h.int_header(pairs, h.ORDINAL) if h.header(pairs, h.SOURCE) == source else None


def present(found: Iterable[int], max_outstanding: int = MAX_OUTSTANDING) -> Present:
    """What the log holds, from the ordinals found by reading back far enough."""
    ordinals = set(found)
    if not ordinals:
        return Present()
    maximum = max(ordinals)
    candidates = range(max(0, maximum - max_outstanding + 1), maximum)
    return Present(maximum, frozenset(o for o in candidates if o not in ordinals))


def read_back(
    log: Mapping[P, Range],
    read: ReadOrdinals[P],
    max_outstanding: int = MAX_OUTSTANDING,
    first_step: int = FIRST_STEP,
) -> set[int]:
    """The ordinals at the end of every partition of a topic, as far back as `present` needs them.

    Args:
        log: first and end offset of each partition.
        read: reads ranges of offsets.
    """
    found: set[int] = set()
    lowest: dict[P, int] = {}
    back_to = {partition: end for partition, (_, end) in log.items()}
    step = first_step
    while True:
        enough = max(found, default=0) - 2 * max_outstanding
        ranges = {
            partition: (max(log[partition][0], end - step), end)
            for partition, end in back_to.items()
            if end > log[partition][0] and not (partition in lowest and lowest[partition] <= enough)
        }
        if not ranges:
            return found
        for partition, ordinals in read(ranges).items():
            for ordinal in ordinals:
                found.add(ordinal)
                lowest[partition] = min(ordinal, lowest.get(partition, ordinal))
        back_to.update({partition: first for partition, (first, _) in ranges.items()})
        step *= 2
