"""Log positions of simulated records, and the log prefix that each decision has seen."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Ints
from fraudsim.log.partitioning import partition_of


class TopicOffsets:
    """Partitions and offsets of one topic's records, which come in order of time."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._ends = np.zeros(partitions, np.int64)
        self._recent: list[Ints] = [np.empty(0, np.int64) for _ in range(partitions)]
        """By partition, the times of the latest records."""

    def add(self, keys: Sequence[str], times: Ints) -> tuple[Ints, Ints]:
        """The partition and offset of each record, shape (n,); `times` ascend."""
        partition = np.array([partition_of(key, self._partitions) for key in keys], np.int64)
        offset = np.empty(len(partition), np.int64)
        for number in range(self._partitions):
            rows = np.flatnonzero(partition == number)
            offset[rows] = self._ends[number] + np.arange(len(rows))
            self._ends[number] += len(rows)
            self._recent[number] = np.concatenate([self._recent[number], times[rows]])
        return partition, offset

    def last_before(self, times: Ints) -> Ints:
        """The offset of the last record before each time, -1 for none; shape (n, partitions)."""
        return np.column_stack(
            [
                self._ends[number] - len(recent) + np.searchsorted(recent, times) - 1
                for number, recent in enumerate(self._recent)
            ]
        )

    def forget(self, before_ms: int) -> None:
        """Forget the times of records before `before_ms`: nothing asks for them any more."""
        self._recent = [recent[np.searchsorted(recent, before_ms) :] for recent in self._recent]


def prefix_texts(slots: Sequence[Sequence[int]], seen: Ints, labels_to: Ints) -> pa.Array:
    """Each decision's `LogPrefix` as JSON.

    Args:
        slots: the slots of each transaction's keys.
        seen: last offsets of transactions, then of labels, by partition; shape (n, 2 · partitions).
        labels_to: last offsets of labels before the decision, shape (n, partitions).
    """
    partitions = labels_to.shape[1]
    unfolded = f'"tail_from":[{",".join("0" * partitions)}],"tail_to":[{",".join(["-1"] * partitions)}]'
    texts = []
    for row_slots, offsets, labels in zip(slots, seen.tolist(), labels_to.tolist(), strict=True):
        written = str(offsets)
        folded = ",".join([f'"{slot}":{written}' for slot in row_slots])
        texts.append(f'{{"slots":{{{folded}}},{unfolded},"labels_to":{labels}}}')
    return pa.array(texts, pa.string())
