"""The kernels over a whole history: each transaction's features as of its own time."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudsim.arrays import Doubles, Ints
from stream_features.catalogue.features import (
    BUCKETS,
    CHANNELS,
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
from stream_features.kernels.exact import bulk_exact
from stream_features.kernels.state import KIND, LABEL_REACH, LEVELS, NO_LABELS, specification
from stream_features.kernels.tiled import bulk_tiled
from stream_features.offline.columns import codes, column, entity_rows, label_rows
from stream_features.vector import SIZE, bucket, network

HORIZON_MS: Final = 2 * MINUTE
"""History is read in time order, so the shortest horizon is enough."""

Matrix = npt.NDArray[np.floating[Any]]


def _map_values(table: pa.Table, name: str, value: Callable[[str | None], float]) -> Doubles:
    """`value` of each entry of a string column, computed once for each distinct entry."""
    indices, values = codes(table, name)
    return np.array([*(value(v) for v in values), np.nan])[indices]


def _mcc_country_buckets(table: pa.Table, mcc: Doubles) -> Doubles:
    country, names = codes(table, "country")
    present = ~np.isnan(mcc) & (country >= 0)
    pairs, pair_index = np.unique(
        np.column_stack([np.where(present, mcc, 0).astype(np.int64), country]), axis=0, return_inverse=True
    )
    bucket_of = np.array([bucket(f"{code}:{names[c]}") if c >= 0 else np.nan for code, c in pairs.tolist()])
    return np.where(present, bucket_of[pair_index.ravel()], np.nan) if len(pair_index) else np.empty(0)


def request_matrix(table: pa.Table) -> Doubles:
    """Request features, vectorised; the same values as `vector.request_features`."""
    ts = column(table, "ts").astype(np.int64)
    amount, mcc = column(table, "amount_cents").astype(np.int64), column(table, "mcc").astype(float)
    return np.column_stack(
        [
            amount.astype(float),
            (amount % ROUND_CENTS == 0).astype(float),
            ts % DAY / HOUR,
            ((ts // DAY + 3) % 7).astype(float),
            _map_values(table, "channel", lambda c: float(CHANNELS.index(c)) if c else np.nan),
            mcc,
            _map_values(table, "country", lambda c: bucket(c, COUNTRY_BUCKETS)),
            _mcc_country_buckets(table, mcc),
            _map_values(table, "merchant_id", lambda m: bucket(m, BUCKETS)),
            _map_values(table, "ip", lambda ip: bucket(network(ip), BUCKETS)),
        ]
    )


def bulk_features(
    transactions: pa.Table,
    labels: pa.Table | None = None,
    lag_ms: int = 0,
    dtype: npt.DTypeLike = np.float32,
) -> Matrix:
    """Every transaction's features at its own ts, shape (n, SIZE), in the table's order.

    `lag_ms` leaves out of the windows what became known less than that long ago, as features computed in
    batches do. float32 values are as they are served; float64 values are before rounding, for comparison with
    another engine.
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
        seen_to = rows[:, 0] - lag_ms
        if entity in EXACT:
            bulk_exact(rows, order, starts, seen_to, rows[:, 0], spec, MAX_ROWS, False, DISTINCT_CAP, out)
            continue
        key_labels, label_starts = _group_labels(
            names, KEY_FIELD[entity], labels if entity in LABELLED else None
        )
        bulk_tiled(
            rows, order, starts, key_labels, label_starts, seen_to, rows[:, 0], spec, LEVELS, KIND[entity],
            HORIZON_MS, False, DISTINCT_CAP, LABEL_REACH, MAX_LABELS, LABEL_MEMORY, RISK_PRIOR, RISK_WEIGHT,
            out,
        )  # fmt: skip
    return out


def _group_labels(names: list[str | None], field: str, labels: pa.Table | None) -> tuple[Ints, Ints]:
    """Label rows grouped by key in the order of `names`, sorted by known_at; and the start of each group."""
    if labels is None or labels.num_rows == 0:
        return NO_LABELS, np.zeros(len(names) + 1, np.int64)
    index_of = {name: i for i, name in enumerate(names)}
    label_codes, label_names = codes(labels, field)
    group_of = np.array([*(index_of.get(name, -1) for name in label_names), -1], np.int64)
    group = group_of[label_codes]
    rows = label_rows(labels)
    order = np.lexsort((rows[:, 1], group))
    order = order[group[order] >= 0]
    return rows[order], np.searchsorted(group[order], np.arange(len(names) + 1))
