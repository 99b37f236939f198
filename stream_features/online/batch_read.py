"""Features of many transactions from states as Redis holds them: one compiled call an entity."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from fraudsim.arrays import Flags
from fraudsim.log.events import Transaction
from stream_features.encode import ROW_OF
from stream_features.kernels.state import EMPTY, KERNELS, UNREADABLE, KeyedRows, Matrix, pack
from stream_features.online.unfolded_log import Key
from stream_features.vector import REQUEST_INDEXES, SIZE, request_features

UnfoldedRows = Callable[[Key], Sequence[tuple[int, ...]]]


def features_of(
    transactions: Sequence[Transaction],
    keys_by_tx: Sequence[Sequence[Key]],
    blobs: Mapping[Key, bytes | None],
    unfolded_rows: UnfoldedRows,
    horizon_ms: int,
) -> tuple[Matrix, Flags]:
    """Every feature of each transaction at its own ts, shape (n, SIZE), and whether each vector is whole.

    `unfolded_rows` gives the rows of a key that its blob lacks. A blob of None is a key never seen. A blob
    that is unreadable, or cannot answer as far back as a ts, leaves its features null, the vector not whole.
    """
    out = np.full((len(transactions), SIZE), np.nan, np.float32)
    out[:, REQUEST_INDEXES] = [request_features(tx) for tx in transactions]
    whole = np.ones(len(transactions), np.bool_)
    indices_by_entity: dict[str, dict[Key, list[int]]] = {}
    for tx_index, keys in enumerate(keys_by_tx):
        for key in keys:
            indices_by_entity.setdefault(key[0], {}).setdefault(key, []).append(tx_index)
    for entity, indices_by_key in indices_by_entity.items():
        to_row = ROW_OF[entity]
        queries = [
            (key_index, tx_index, *to_row(transactions[tx_index]))
            for key_index, tx_indices in enumerate(indices_by_key.values())
            for tx_index in tx_indices
        ]
        KERNELS[entity].read_many(
            pack([_readable_words(entity, blobs[key]) for key in indices_by_key]),
            _group_rows(entity, indices_by_key, unfolded_rows),
            np.array(queries, np.int64), horizon_ms, out, whole,
        )  # fmt: skip
    return out, whole


def _group_rows(entity: str, keys: Iterable[Key], unfolded_rows: UnfoldedRows) -> KeyedRows:
    rows: list[tuple[int, ...]] = []
    counts: list[int] = []
    for key in keys:
        rows_of_key = unfolded_rows(key)
        rows += rows_of_key
        counts.append(len(rows_of_key))
    return KeyedRows(
        np.array(rows, np.int64).reshape(len(rows), KERNELS[entity].width), np.array(counts, np.int64)
    )


def _readable_words(entity: str, blob: bytes | None) -> bytes:
    """The blob, made of 8-byte words: `EMPTY` for none, `UNREADABLE` where its length does not fit."""
    if blob is None:
        return EMPTY[entity]
    return blob if len(blob) % 8 == 0 else UNREADABLE
