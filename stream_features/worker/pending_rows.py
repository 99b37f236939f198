"""The rows that a batch adds to the keys of one entity in one slot: kept in columns, folded in one call."""

from array import array
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from stream_features.kernels import state as states
from stream_features.kernels.state import KERNELS, NO_LABELS, KeyedRows


class PendingRows:
    """Rows of transactions and labels by key."""

    def __init__(self, entity: str) -> None:
        self.entity = entity
        self._key_numbers: dict[str, int] = {}
        """In order of first appearance."""
        self._row_keys, self._rows = array("q"), array("q")
        self._label_keys, self._labels = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._key_numbers)

    @property
    def keys(self) -> Collection[str]:
        return self._key_numbers.keys()

    def add_row(self, key: str, row: Iterable[int]) -> None:
        """Add a transaction's row to a key."""
        numbers = self._key_numbers
        self._row_keys.append(numbers.setdefault(key, len(numbers)))
        self._rows.extend(row)

    def add_label(self, key: str, row: Iterable[int]) -> None:
        """Add a label's row to a key."""
        numbers = self._key_numbers
        self._label_keys.append(numbers.setdefault(key, len(numbers)))
        self._labels.extend(row)

    def clear(self) -> None:
        """Drop all keys and rows."""
        self._key_numbers.clear()
        for column in (self._row_keys, self._rows, self._label_keys, self._labels):
            del column[:]

    def fold(self, blobs: Sequence[bytes], horizon_ms: int) -> list[bytes]:
        """The new states, from the old ones in the order of `keys`; an empty blob stays empty."""
        rows = self._grouped(self._row_keys, self._rows, KERNELS[self.entity].width)
        labels = self._grouped(self._label_keys, self._labels, NO_LABELS.shape[1])
        return states.fold_many(self.entity, blobs, rows, labels, horizon_ms)

    def _grouped(self, row_keys: "array[int]", words: "array[int]", width: int) -> KeyedRows:
        numbers, rows = np.array(row_keys, np.int64), np.array(words, np.int64).reshape(-1, width)
        # By time within a key: partitions come one after the other, and kernels insert from the end.
        order = np.lexsort((rows[:, 0], numbers))
        return KeyedRows(rows[order], np.bincount(numbers, minlength=len(self)))
