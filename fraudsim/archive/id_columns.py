"""Ids that a Parquet file holds as numbers, and the texts they stand for.

The field's metadata spells them: `word` (or `text`, where hardly a value repeats) is a printf format such as
`c%07d` or `d%016x`, or `ipv4`.
"""

import re
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

IPV4: Final = "ipv4"
_FORMAT: Final = re.compile(r"([a-z]*)%0(\d+)([dx])")
_OCTETS: Final = pa.array([str(octet) for octet in range(256)])
_HEX_PAIRS: Final = np.array([f"{byte:02x}".encode() for byte in range(256)], dtype="S2").view(np.uint16)


def word_field(name: str, kind: pa.DataType, spelling: str) -> pa.Field:
    """A column of unsigned numbers that `spelled` makes a dictionary of words."""
    return pa.field(name, kind, metadata={"word": spelling})


def text_field(name: str, kind: pa.DataType, spelling: str) -> pa.Field:
    """A column of unsigned numbers that `spelled` makes plain texts."""
    return pa.field(name, kind, metadata={"text": spelling})


def spelled(table: pa.Table) -> pa.Table:
    """The table with texts for ids that are numbers; without metadata, and unchanged where there are none."""
    columns = [_spelled(field, column) for field, column in zip(table.schema, table.columns, strict=True)]
    return pa.table(columns, names=table.column_names)


def sql_spellings(schema: pa.Schema) -> list[str]:
    """`text AS name` in DuckDB's SQL for every column of numbers that is an id."""
    found = []
    for field in schema:
        spelling, _ = _spelling(field) or (None, False)
        if spelling == IPV4:
            octets = (f"({field.name} >> {shift} & 255)" for shift in (24, 16, 8, 0))
            found.append(" || '.' || ".join(octets) + f" AS {field.name}")
        elif spelling is not None:
            found.append(f"printf('{spelling}', {field.name}) AS {field.name}")
    return found


def hex16(values: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """Sixteen lower-case hex digits of each word, as an array of `S16`."""
    octets = np.ascontiguousarray(values, dtype=">u8").view(np.uint8)
    return _HEX_PAIRS[octets].view("S16")


def _spelling(field: pa.Field) -> tuple[str, bool] | None:
    """How a column's numbers are spelled, and whether they repeat."""
    for key in (b"word", b"text"):
        if field.metadata and key in field.metadata:
            return field.metadata[key].decode(), key == b"word"
    return None


def _spelled(field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    found = _spelling(field)
    if found is None:
        return column
    spelling, repeats = found
    if not repeats:
        return pa.chunked_array([_texts(chunk, spelling) for chunk in column.chunks], pa.string())
    coded = column.combine_chunks().dictionary_encode()
    words = _texts(coded.dictionary, spelling)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(coded.indices, words)])


def _texts(numbers: pa.Array, spelling: str) -> pa.Array:
    """Numbers without nulls as texts."""
    if spelling == IPV4:
        values = np.asarray(numbers)
        octets = [pc.take(_OCTETS, pa.array(values >> shift & 255)) for shift in (24, 16, 8, 0)]
        return pc.binary_join_element_wise(*octets, ".")
    found = _FORMAT.fullmatch(spelling)
    if found is None:
        raise ValueError(f"id spelling {spelling!r} is none that this program knows")
    prefix, digits, base = found.groups()
    if base == "d":
        texts = pc.utf8_lpad(numbers.cast(pa.string()), int(digits), "0")
    else:
        texts = _fixed(hex16(np.asarray(numbers)))
    return pc.binary_join_element_wise(prefix, texts, "") if prefix else texts


def _fixed(texts: NDArray[np.bytes_]) -> pa.StringArray:
    """Strings of equal length from `S…`, without a loop."""
    width = texts.dtype.itemsize
    offsets = np.arange(0, (len(texts) + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts.tobytes()))
