"""Columns of Arrow tables as arrays, and whole tables as the kernels' rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudsim.arrays import Ints
from stream_features.catalogue.features import COUNTERPARTS, EXACT, KEY_FIELD
from stream_features.encode import NO_LOCATION, SOURCE_RANK, id_hash


def column(table: pa.Table, name: str, absent: float = np.nan) -> npt.NDArray[Any]:
    """A numeric column; `absent` where it is null or the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, absent)
    array = table[name].combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], table.schema.field(name).type)
    values = array.to_numpy(zero_copy_only=False)
    return np.where(np.asarray(array.is_null()), absent, values) if array.null_count else values


def codes(table: pa.Table, name: str) -> tuple[Ints, list[str | None]]:
    """A string column as indices into its distinct values; -1 is null."""
    if name not in table.column_names:
        return np.full(table.num_rows, -1, np.int64), []
    array = table[name]
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    array = array.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], pa.dictionary(pa.int32(), pa.string()))
    indices = array.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return indices, array.dictionary.to_pylist()


def hashes(table: pa.Table, name: str) -> Ints:
    """`id_hash` of a string column; 0 is null."""
    indices, values = codes(table, name)
    hash_of = np.array([*(id_hash(value) for value in values), 0], np.int64)
    return hash_of[indices]


def packed_locations(table: pa.Table) -> Ints:
    """Packed locations; -1 where a transaction has none."""
    lat, lon = column(table, "lat").astype(float), column(table, "lon").astype(float)
    present = ~(np.isnan(lat) | np.isnan(lon))
    packed = (np.rint((np.where(present, lat, 0) + 90.0) * 1e5).astype(np.int64) << 26) | np.rint(
        (np.where(present, lon, 0) + 180.0) * 1e5
    ).astype(np.int64)
    return np.where(present, packed, NO_LOCATION)


def entity_rows(table: pa.Table, entity: str) -> Ints:
    """Rows for an entity's kernel, in the table's order: ts, amount, counterparts, location if exact."""
    parts = [column(table, "ts").astype(np.int64), column(table, "amount_cents").astype(np.int64)]
    parts += [hashes(table, KEY_FIELD[counterpart]) for counterpart in COUNTERPARTS[entity]]
    if entity in EXACT:
        parts.append(packed_locations(table))
    return np.column_stack(parts)


def label_rows(labels: pa.Table) -> Ints:
    """Rows for the merchant kernel, in the table's order, shape (n, 3)."""
    source_codes, sources = codes(labels, "source")
    rank_of = np.array([*(SOURCE_RANK[s] for s in sources if s), 0], np.int64)
    return np.column_stack(
        [
            hashes(labels, "tx_id"),
            column(labels, "known_at").astype(np.int64),
            2 * rank_of[source_codes] + column(labels, "is_fraud").astype(np.int64),
        ]
    )
