"""The same kernel over a whole history: each transaction's features as of its own time."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_features.catalogue.features import (
    BUCKETS,
    CHANNELS,
    COUNTERPARTS,
    COUNTRY_BUCKETS,
    DAY,
    DISTINCT_CAP,
    EXACT,
    HOUR,
    KEY_FIELD,
    LABEL_MEMORY,
    LABELLED,
    MAX_LABELS,
    MAX_ROWS,
    MINUTE,
    RISK_PRIOR,
    RISK_WEIGHT,
    ROUND_CENTS,
    WINDOWED,
    feature_indexes,
)
from stream_features.encode import NO_LOCATION, SOURCE_RANK, id_hash
from stream_features.kernels.exact import bulk_exact
from stream_features.kernels.state import KIND, LABEL_REACH, LEVELS, NO_LABELS, specification
from stream_features.kernels.tiled import bulk_tiled
from stream_features.vector import SIZE, bucket, network

HORIZON_MS: Final = 2 * MINUTE
"""History is read in time order, so the shortest horizon serves."""

Ints = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.floating[Any]]


def column(table: pa.Table, name: str, absent: float = np.nan) -> npt.NDArray[Any]:
    """A numeric column; `absent` where it is null, or the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, absent)
    filled = table[name].combine_chunks()
    if isinstance(filled, pa.ChunkedArray):
        filled = filled.chunk(0) if filled.num_chunks else pa.array([], table.schema.field(name).type)
    values = filled.to_numpy(zero_copy_only=False)
    return np.where(np.asarray(filled.is_null()), absent, values) if filled.null_count else values


def codes(table: pa.Table, name: str) -> tuple[Ints, list[str | None]]:
    """A string column as codes into its distinct values; -1 is null."""
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
    """`id_hash` of a string column."""
    indices, values = codes(table, name)
    table_of = np.array([*(id_hash(v) for v in values), 0], np.int64)
    return table_of[indices]


def packed_places(table: pa.Table) -> Ints:
    """Packed places; -1 where a transaction has none."""
    lat, lon = column(table, "lat").astype(float), column(table, "lon").astype(float)
    known = ~(np.isnan(lat) | np.isnan(lon))
    packed = (np.rint((np.where(known, lat, 0) + 90.0) * 1e5).astype(np.int64) << 26) | np.rint(
        (np.where(known, lon, 0) + 180.0) * 1e5
    ).astype(np.int64)
    return np.where(known, packed, NO_LOCATION)


def _by_value(table: pa.Table, name: str, value: Callable[[str | None], float]) -> npt.NDArray[np.float64]:
    """`value` of each of a string column's entries, computed once for each that is different."""
    indices, values = codes(table, name)
    return np.array([*(value(v) for v in values), np.nan])[indices]


def _mcc_country_buckets(table: pa.Table, mcc: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    country, names = codes(table, "country")
    known = ~np.isnan(mcc) & (country >= 0)
    pairs, at = np.unique(
        np.column_stack([np.where(known, mcc, 0).astype(np.int64), country]), axis=0, return_inverse=True
    )
    of_pair = np.array([bucket(f"{code}:{names[c]}") if c >= 0 else np.nan for code, c in pairs.tolist()])
    return np.where(known, of_pair[at.ravel()], np.nan) if len(at) else np.empty(0)


def request_matrix(table: pa.Table) -> npt.NDArray[np.float64]:
    """Request features, vectorised; the same values as `vector.request_features`."""
    ts = column(table, "ts").astype(np.int64)
    amount, mcc = column(table, "amount_cents").astype(np.int64), column(table, "mcc").astype(float)
    return np.column_stack(
        [
            amount.astype(float),
            (amount % ROUND_CENTS == 0).astype(float),
            ts % DAY / HOUR,
            ((ts // DAY + 3) % 7).astype(float),
            _by_value(table, "channel", lambda c: float(CHANNELS.index(c)) if c else np.nan),
            mcc,
            _by_value(table, "country", lambda c: bucket(c, COUNTRY_BUCKETS)),
            _mcc_country_buckets(table, mcc),
            _by_value(table, "merchant_id", lambda m: bucket(m, BUCKETS)),
            _by_value(table, "ip", lambda ip: bucket(network(ip), BUCKETS)),
        ]
    )


def entity_rows(table: pa.Table, entity: str) -> Ints:
    """Rows for an entity's kernel, in the table's order: ts, amount, counterparts, place if it is exact."""
    parts = [column(table, "ts").astype(np.int64), column(table, "amount_cents").astype(np.int64)]
    parts += [hashes(table, KEY_FIELD[counterpart]) for counterpart in COUNTERPARTS[entity]]
    if entity in EXACT:
        parts.append(packed_places(table))
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


def bulk_features(
    transactions: pa.Table,
    labels: pa.Table | None = None,
    lag_ms: int = 0,
    dtype: npt.DTypeLike = np.float32,
) -> Matrix:
    """Every transaction's features at its own ts, shape (n, SIZE), in the table's order.

    `lag_ms` leaves out of the windows whatever became known less than that long ago: how features look
    when they are computed in batches. Values are float32 as they are served; as float64 they are before
    rounding, for comparison with another engine.
    """
    out = np.full((transactions.num_rows, SIZE), np.nan, dtype)
    out[:, feature_indexes("request")] = request_matrix(transactions)
    ts = column(transactions, "ts").astype(np.int64)
    for entity in WINDOWED:
        key, names = codes(transactions, KEY_FIELD[entity])
        order = np.lexsort((ts, key))
        order = order[key[order] >= 0]
        if not order.size:
            continue
        starts = np.searchsorted(key[order], np.arange(len(names) + 1))
        rows, spec = entity_rows(transactions, entity)[order], specification(entity)
        if entity in EXACT:
            bulk_exact(rows, order, starts, spec, MAX_ROWS, lag_ms, DISTINCT_CAP, out)
            continue
        known, label_starts = _labels_by(names, KEY_FIELD[entity], labels if entity in LABELLED else None)
        bulk_tiled(
            rows, order, starts, known, label_starts, spec, LEVELS, KIND[entity], HORIZON_MS, lag_ms,
            DISTINCT_CAP, LABEL_REACH, MAX_LABELS, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT, out,
        )  # fmt: skip
    return out


def _labels_by(names: list[str | None], field: str, labels: pa.Table | None) -> tuple[Ints, Ints]:
    """Labels grouped by key in the order of `names`, by known_at within; and where groups start."""
    if labels is None or labels.num_rows == 0:
        return NO_LABELS, np.zeros(len(names) + 1, np.int64)
    place_of = {name: i for i, name in enumerate(names)}
    label_codes, label_names = codes(labels, field)
    group_of = np.array([*(place_of.get(name, -1) for name in label_names), -1], np.int64)
    group = group_of[label_codes]
    rows = label_rows(labels)
    order = np.lexsort((rows[:, 1], group))
    order = order[group[order] >= 0]
    return rows[order], np.searchsorted(group[order], np.arange(len(names) + 1))
