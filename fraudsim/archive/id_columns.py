"""Id columns that a Parquet file holds as numbers, and the texts they stand for.

The field's metadata has the spelling: under `word` (or `text`, where values rarely repeat) a printf format
such as `c%07d` or `d%016x`, or `ipv4`.
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
    """A field of unsigned numbers that `spelled` turns into a dictionary of texts."""
    return pa.field(name, kind, metadata={"word": spelling})


def text_field(name: str, kind: pa.DataType, spelling: str) -> pa.Field:
    """A field of unsigned numbers that `spelled` turns into plain texts."""
    return pa.field(name, kind, metadata={"text": spelling})


def spelled(table: pa.Table) -> pa.Table:
    """The table with texts in place of numbers in its id columns, without metadata. Other columns stay."""
    columns = [_text_column(field, column) for field, column in zip(table.schema, table.columns, strict=True)]
    return pa.table(columns, names=table.column_names)


def sql_spellings(schema: pa.Schema) -> list[str]:
    """DuckDB expressions `text AS name`, one for every id column held as numbers."""
    expressions = []
    for field in schema:
        spelling, _ = _spelling(field) or (None, False)
        if spelling == IPV4:
            octets = (f"({field.name} >> {shift} & 255)" for shift in (24, 16, 8, 0))
            expressions.append(" || '.' || ".join(octets) + f" AS {field.name}")
        elif spelling is not None:
            expressions.append(f"printf('{spelling}', {field.name}) AS {field.name}")
    return expressions


def hex16(values: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """Sixteen lower-case hex digits of each number, as an array of `S16`."""
    octets = np.ascontiguousarray(values, dtype=">u8").view(np.uint8)
    return _HEX_PAIRS[octets].view("S16")


def _spelling(field: pa.Field) -> tuple[str, bool] | None:
    """The spelling of an id column, and whether its values repeat; None for other columns."""
    for key in (b"word", b"text"):
        if field.metadata and key in field.metadata:
            return field.metadata[key].decode(), key == b"word"
    return None


def _text_column(field: pa.Field, column: pa.ChunkedArray) -> pa.ChunkedArray:
    id_spelling = _spelling(field)
    if id_spelling is None:
        return column
    spelling, repeats = id_spelling
    if not repeats:
        return pa.chunked_array([_texts(chunk, spelling) for chunk in column.chunks], pa.string())
    coded = column.combine_chunks().dictionary_encode()
    dictionary = _texts(coded.dictionary, spelling)
    return pa.chunked_array([pa.DictionaryArray.from_arrays(coded.indices, dictionary)])


def _texts(numbers: pa.Array, spelling: str) -> pa.Array:
    """Numbers without nulls as texts."""
    if spelling == IPV4:
        values = np.asarray(numbers)
        octets = [pc.take(_OCTETS, pa.array(values >> shift & 255)) for shift in (24, 16, 8, 0)]
        return pc.binary_join_element_wise(*octets, ".")
    printf_format = _FORMAT.fullmatch(spelling)
    if printf_format is None:
        raise ValueError(f"id spelling {spelling!r} is not known to this program")
    prefix, digits, base = printf_format.groups()
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
