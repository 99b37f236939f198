"""Of several decisions for one source offset the first in the log stands."""

from collections import defaultdict


class FirstDecisions:
    """Which decisions stand, told as they are read, in the log's order within a partition.

    A scorer goes on after the last source offset of its partition of `decisions`, in source order, so what is
    not beyond the highest that was there has been decided before.
    """

    def __init__(self) -> None:
        self.last_source: defaultdict[int, int] = defaultdict(lambda: -1)
        """Offset in `transactions` of the last one decided, by partition."""
        self.repeated = 0
        """Decisions that did not stand."""

    def is_first(self, partition: int, source_offset: int) -> bool:
        """To be asked once of every decision."""
        if source_offset <= self.last_source[partition]:
            self.repeated += 1
            return False
        self.last_source[partition] = source_offset
        return True
