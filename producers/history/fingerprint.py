"""A hash of the content of tables: equal for equal values of equal types, for any chunks and dictionaries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Int32s

_VERSION: Final = b"fraudsim columns 2"


class Fingerprint:
    """SHA-256 of every column's nulls, lengths and bytes; rows are added in batches."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], _ColumnHash] = {}

    def add(self, name: str, table: pa.Table) -> None:
        """Add rows of the table `name`; all its batches have one schema."""
        for field in table.schema:
            column = self._columns.setdefault((name, field.name), _ColumnHash(field.type))
            for chunk in table[field.name].chunks:
                column.add(chunk)

    def add_all(self, tables: Mapping[str, pa.Table]) -> None:
        """Add rows of several tables, by name."""
        for name, table in tables.items():
            self.add(name, table)

    def hexdigest(self) -> str:
        """64 hex digits."""
        whole = hashlib.sha256(_VERSION)
        for (table, name), column in sorted(self._columns.items()):
            whole.update(f"{table}.{name}:{column.kind}:{column.rows}:".encode())
            whole.update(column.digest())
        return whole.hexdigest()


class _ColumnHash:
    """The hash of one column. Words of a dictionary get numbers as they first appear; each is hashed once."""

    def __init__(self, kind: pa.DataType) -> None:
        self.kind = kind
        self.rows = 0
        self._valid, self._lengths, self._values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._any_null = False
        self._words: dict[str, int] = {}

    def add(self, array: pa.Array) -> None:
        self._add_validity(array)
        self.rows += len(array)
        if array.null_count:
            array = array.drop_null()
        if pa.types.is_dictionary(array.type):
            self._values.update(self._word_numbers(array).data)
        elif pa.types.is_string(array.type):
            self._add_texts(array)
        elif pa.types.is_boolean(array.type):
            self._values.update(np.asarray(array).astype(np.uint8).data)
        else:
            values = np.asarray(array)
            self._values.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)

    def digest(self) -> bytes:
        """The digest of all rows so far."""
        parts = [self._valid.digest(), self._lengths.digest(), self._values.digest()]
        if self._words:
            words = _ColumnHash(pa.string())
            words.add(pa.array(list(self._words), pa.string()))
            parts.append(words.digest())
        return b"".join(parts)

    def _add_validity(self, array: pa.Array) -> None:
        """One byte per row, but only once a null has appeared: most columns have none."""
        if array.null_count and not self._any_null:
            self._any_null = True
            self._valid.update(b"\1" * self.rows)
        if self._any_null:
            self._valid.update(np.asarray(array.is_valid()).astype(np.uint8).data)

    def _word_numbers(self, array: pa.DictionaryArray) -> Int32s:
        """The number of each row's word."""
        used = array.indices.unique()
        number_of = np.zeros(len(array.dictionary), "<i4")
        for index, word in zip(used.to_pylist(), array.dictionary.take(used).to_pylist(), strict=True):
            number_of[index] = self._words.setdefault(word, len(self._words))
        return number_of[np.asarray(array.indices)]

    def _add_texts(self, array: pa.StringArray) -> None:
        """Lengths and bytes, read from the array's buffers."""
        if len(array) == 0:
            return
        _, offsets_buffer, data = array.buffers()
        offsets = np.frombuffer(offsets_buffer, np.int32)[array.offset : array.offset + len(array) + 1]
        self._lengths.update(np.diff(offsets).astype("<i4", copy=False).data)
        if data is not None:
            self._values.update(memoryview(data)[offsets[0] : offsets[-1]])


def fingerprint(**tables: pa.Table) -> str:
    """The fingerprint of whole tables, by name."""
    result = Fingerprint()
    result.add_all(tables)
    return result.hexdigest()
