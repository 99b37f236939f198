"""The same kernel over a whole history: each transaction's features as of its own time."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from stream_features.catalogue import DAY, HOUR, MINUTE, columns, specification
from stream_features.encode import NO_PLACE, SOURCE_RANK, id_hash
from stream_features.kernel_card import empty_card, fold_card, read_card
from stream_features.kernel_merchant import empty_merchant, fold_merchant, read_merchant
from stream_features.state import NO_LABELS
from stream_features.vector import CHANNELS, COUNTRY_BUCKETS, SIZE

HORIZON_MS: Final = 2 * MINUTE
"""History is read in time order, so the shortest horizon serves."""

Ints = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float32]


@njit(cache=True)
def _bulk_card(rows: Ints, starts: Ints, spec: Ints, horizon_ms: int, lag_ms: int, out: Any) -> None:
    """Rows (ts, amount, merchant hash, place) grouped by card, in time order within; out is (n, features)."""
    for group in range(starts.shape[0] - 1):
        state = empty_card()
        folded = starts[group]
        for i in range(starts[group], starts[group + 1]):
            first = folded
            while rows[folded, 0] < rows[i, 0] - lag_ms:
                folded += 1
            if folded > first:
                state = fold_card(state, rows[first:folded], horizon_ms)
            read_card(state, spec, rows[i, 0], horizon_ms, rows[i, 1], rows[i, 2], rows[i, 3], out[i])


@njit(cache=True)
def _bulk_merchant(
    rows: Ints,
    starts: Ints,
    labels: Ints,
    label_starts: Ints,
    spec: Ints,
    horizon_ms: int,
    lag_ms: int,
    out: Any,
) -> None:
    """The same by merchant, rows (ts, amount), with each merchant's labels in order of known_at."""
    for group in range(starts.shape[0] - 1):
        state = empty_merchant()
        folded, known = starts[group], label_starts[group]
        for i in range(starts[group], starts[group + 1]):
            first, first_label = folded, known
            while rows[folded, 0] < rows[i, 0] - lag_ms:
                folded += 1
            while known < label_starts[group + 1] and labels[known, 1] < rows[i, 0] - lag_ms:
                known += 1
            if folded > first or known > first_label:
                state = fold_merchant(state, rows[first:folded], labels[first_label:known], horizon_ms)
            read_merchant(state, spec, rows[i, 0], horizon_ms, rows[i, 1], out[i])


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


def places(table: pa.Table) -> Ints:
    """Packed places; -1 where a transaction has none."""
    lat, lon = column(table, "lat").astype(float), column(table, "lon").astype(float)
    known = ~(np.isnan(lat) | np.isnan(lon))
    packed = (np.rint((np.where(known, lat, 0) + 90.0) * 1e5).astype(np.int64) << 26) | np.rint(
        (np.where(known, lon, 0) + 180.0) * 1e5
    ).astype(np.int64)
    return np.where(known, packed, NO_PLACE)


def request_matrix(table: pa.Table) -> npt.NDArray[np.float64]:
    """Request features, vectorised; the same values as `vector.request_features`."""
    ts = column(table, "ts").astype(np.int64)
    channel_codes, channels = codes(table, "channel")
    channel_of = np.array([*(float(CHANNELS.index(c)) if c else np.nan for c in channels), np.nan])
    country_codes, countries = codes(table, "country")
    bucket_of = np.array([*(float(id_hash(c) % COUNTRY_BUCKETS) if c else np.nan for c in countries), np.nan])
    return np.column_stack(
        [
            column(table, "amount_cents").astype(float),
            ts % DAY / HOUR,
            ((ts // DAY + 3) % 7).astype(float),
            channel_of[channel_codes],
            column(table, "mcc").astype(float),
            bucket_of[country_codes],
        ]
    )


def card_rows(table: pa.Table) -> Ints:
    """Rows for the card kernel, in the table's order, shape (n, 4)."""
    return np.column_stack(
        [
            column(table, "ts").astype(np.int64),
            column(table, "amount_cents").astype(np.int64),
            hashes(table, "merchant_id"),
            places(table),
        ]
    )


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


def bulk_features(transactions: pa.Table, labels: pa.Table | None = None, lag_ms: int = 0) -> Matrix:
    """Every transaction's features at its own ts, shape (n, SIZE), in the table's order.

    `lag_ms` leaves out of the windows whatever became known less than that long ago: how features look
    when they are computed in batches.
    """
    out = np.full((transactions.num_rows, SIZE), np.nan)
    request = request_matrix(transactions)
    out[:, : request.shape[1]] = request
    rows = card_rows(transactions)
    ts = rows[:, 0]

    card, _ = codes(transactions, "card_id")
    order = np.lexsort((ts, card))
    starts = np.searchsorted(card[order], np.arange(card.max(initial=-1) + 2))
    part = np.full((len(order), columns("card").size), np.nan)
    _bulk_card(rows[order], starts, specification("card"), HORIZON_MS, lag_ms, part)
    out[np.ix_(order, columns("card"))] = part

    merchant, names = codes(transactions, "merchant_id")
    order = np.lexsort((ts, merchant))
    order = order[merchant[order] >= 0]
    starts = np.searchsorted(merchant[order], np.arange(len(names) + 1))
    known, label_starts = _labels_by(names, labels)
    part = np.full((len(order), columns("merchant").size), np.nan)
    _bulk_merchant(
        rows[order][:, :2].copy(),
        starts,
        known,
        label_starts,
        specification("merchant"),
        HORIZON_MS,
        lag_ms,
        part,
    )
    out[np.ix_(order, columns("merchant"))] = part
    return out.astype(np.float32)


def _labels_by(names: list[str | None], labels: pa.Table | None) -> tuple[Ints, Ints]:
    """Labels grouped by merchant in the order of `names`, by known_at within; and where groups start."""
    if labels is None or labels.num_rows == 0:
        return NO_LABELS, np.zeros(len(names) + 1, np.int64)
    place_of = {name: i for i, name in enumerate(names)}
    label_codes, label_names = codes(labels, "merchant_id")
    group_of = np.array([*(place_of.get(name, -1) for name in label_names), -1], np.int64)
    group = group_of[label_codes]
    rows = label_rows(labels)
    order = np.lexsort((rows[:, 1], group))
    order = order[group[order] >= 0]
    return rows[order], np.searchsorted(group[order], np.arange(len(names) + 1))
