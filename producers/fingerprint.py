"""A hash of what tables say: the same for the same values, however they are chunked, coded or filed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_VERSION: Final = b"fraudsim columns 1"
_NOTHING: Final = memoryview(b"")


class Fingerprint:
    """Fed with batches of tables of one schema; SHA-256 of every column's nulls, lengths and bytes."""

    def __init__(self) -> None:
        self._columns: dict[tuple[str, str], list[hashlib._Hash]] = {}
        self._rows: dict[str, int] = {}

    def add(self, name: str, table: pa.Table) -> None:
        """More rows of the table `name`."""
        self._rows[name] = self._rows.get(name, 0) + table.num_rows
        for field in table.schema:
            hashes = self._columns.get((name, field.name))
            if hashes is None:
                hashes = self._columns[name, field.name] = [hashlib.sha256() for _ in range(3)]
            for chunk in table[field.name].chunks:
                for digest, data in zip(hashes, _canonical(chunk), strict=True):
                    digest.update(data)

    def add_all(self, tables: Mapping[str, pa.Table]) -> None:
        """More rows of some tables, by name."""
        for name, table in tables.items():
            self.add(name, table)

    def hexdigest(self) -> str:
        """64 hex digits."""
        whole = hashlib.sha256(_VERSION)
        for (table, column), hashes in sorted(self._columns.items()):
            whole.update(f"{table}.{column}:{self._rows[table]}:".encode())
            for digest in hashes:
                whole.update(digest.digest())
        return whole.hexdigest()


def _canonical(array: pa.Array) -> tuple[memoryview, memoryview, memoryview]:
    """Validity, lengths (of texts) and values, little-endian; a null has value zero."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    valid = np.ones(len(array), np.uint8)
    if array.null_count:
        valid = np.asarray(pc.is_valid(array)).astype(np.uint8)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return valid.data, *_texts(array, valid)
    if pa.types.is_boolean(array.type):
        return valid.data, _NOTHING, np.asarray(pc.fill_null(array, False)).astype(np.uint8).data
    kind = "<f8" if pa.types.is_floating(array.type) else "<i8"
    return valid.data, _NOTHING, np.asarray(pc.fill_null(array, 0)).astype(kind, copy=False).data


def _texts(array: pa.Array, valid: NDArray[np.uint8]) -> tuple[memoryview, memoryview]:
    """Lengths and bytes of texts, out of the array's own buffers where a null has no bytes behind it."""
    if len(array) == 0:
        return _NOTHING, _NOTHING
    _, offsets_buffer, data = array.buffers()
    width = np.int32 if pa.types.is_string(array.type) else np.int64
    offsets = np.frombuffer(offsets_buffer, width)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(offsets)
    if lengths[valid == 0].any():
        return _texts(pc.fill_null(array, ""), np.ones_like(valid))
    texts = _NOTHING if data is None else memoryview(data)[offsets[0] : offsets[-1]]
    return lengths.astype("<i4", copy=False).data, texts


def fingerprint(**tables: pa.Table) -> str:
    """The fingerprint of whole tables, by name."""
    result = Fingerprint()
    result.add_all(tables)
    return result.hexdigest()
