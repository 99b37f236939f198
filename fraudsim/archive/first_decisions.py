"""Which of several decisions for one source offset counts: the first in the log."""

from collections import defaultdict


class FirstDecisions:
    """Tells first decisions from repeated ones; each partition's must come in the log's order.

    A scorer writes the decisions of a partition in source order and, after a restart, continues behind the
    last source offset it finds. So a decision whose source offset is not above the highest so far is a
    repetition.
    """

    def __init__(self) -> None:
        self.last_source: defaultdict[int, int] = defaultdict(lambda: -1)
        """By partition, the offset in `transactions` of the last transaction decided."""
        self.repeated = 0
        """Number of repeated decisions."""

    def is_first(self, partition: int, source_offset: int) -> bool:
        """Whether a decision counts. Call it once for every decision."""
        if source_offset <= self.last_source[partition]:
            self.repeated += 1
            return False
        self.last_source[partition] = source_offset
        return True
