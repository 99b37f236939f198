"""A hash of what tables say: the same for the same values, however they are chunked, coded or filed."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_VERSION: Final = b"fraudsim columns 1"


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

    def hexdigest(self) -> str:
        """64 hex digits."""
        whole = hashlib.sha256(_VERSION)
        for (table, column), hashes in sorted(self._columns.items()):
            whole.update(f"{table}.{column}:{self._rows[table]}:".encode())
            for digest in hashes:
                whole.update(digest.digest())
        return whole.hexdigest()


def _canonical(array: pa.Array) -> tuple[bytes, bytes, bytes]:
    """Validity, lengths (of texts) and values, little-endian; a null has value zero."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    valid = np.asarray(pc.is_valid(array)).astype(np.uint8).tobytes()
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        lengths = np.asarray(pc.fill_null(pc.binary_length(array), 0)).astype("<i4")
        # Rebuilt, so that a slice or a null with bytes behind it hashes like any other.
        plain = pc.binary_join(pa.ListArray.from_arrays([0, len(array)], pc.fill_null(array, "")), "")
        return valid, lengths.tobytes(), plain[0].as_buffer().to_pybytes()
    if pa.types.is_boolean(array.type):
        return valid, b"", np.asarray(pc.fill_null(array, False)).astype(np.uint8).tobytes()
    kind = "<f8" if pa.types.is_floating(array.type) else "<i8"
    return valid, b"", np.asarray(pc.fill_null(array, 0)).astype(kind).tobytes()


def fingerprint(**tables: pa.Table) -> str:
    """The fingerprint of whole tables, by name."""
    result = Fingerprint()
    for name, table in tables.items():
        result.add(name, table)
    return result.hexdigest()
