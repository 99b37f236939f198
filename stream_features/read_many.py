"""The features of a batch of transactions from states as Redis holds them: one compiled call an entity."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fraudsim.events import Transaction
from stream_features.encode import ROW_OF
from stream_features.state import KERNELS, Flags, Matrix, Stored
from stream_features.tail import Key
from stream_features.vector import REQUEST, SIZE, request_features

UnfoldedRows = Callable[[Key], Sequence[tuple[int, ...]]]
_NO_STATE = bytes(8)
"""Stands for a blob that is not whole words: no state either."""


def features_of(
    transactions: Sequence[Transaction],
    keys_by_tx: Sequence[Sequence[Key]],
    blobs: Mapping[Key, bytes | None],
    unfolded: UnfoldedRows,
    horizon_ms: int,
) -> tuple[Matrix, Flags]:
    """Every feature of each transaction at its own ts, shape (n, SIZE), and which of them are whole.

    `unfolded` has the rows of a key that its blob lacks; None for a blob is a key never seen. A blob that
    cannot be read, or cannot answer as far back as a ts, leaves its features null, and those not whole.
    """
    out = np.full((len(transactions), SIZE), np.nan, np.float32)
    out[:, REQUEST] = [request_features(tx) for tx in transactions]
    whole = np.ones(len(transactions), np.bool_)
    places_by_entity: dict[str, dict[Key, list[int]]] = {}
    for place, keys in enumerate(keys_by_tx):
        for key in keys:
            places_by_entity.setdefault(key[0], {}).setdefault(key, []).append(place)
    for entity, places in places_by_entity.items():
        row_of = ROW_OF[entity]
        asked = [
            (k, place, *row_of(transactions[place])) for k, its in enumerate(places.values()) for place in its
        ]
        KERNELS[entity].read_many(
            _stored(entity, places, blobs, unfolded), np.array(asked, np.int64), horizon_ms, out, whole
        )
    return out, whole


def _stored(
    entity: str, keys: Mapping[Key, object], blobs: Mapping[Key, bytes | None], unfolded: UnfoldedRows
) -> Stored:
    words: list[bytes] = []
    size, starts = 0, [0]
    rows: list[tuple[int, ...]] = []
    row_starts = [0]
    for key in keys:
        blob = blobs[key]
        if blob is not None:
            words.append(blob if blob and len(blob) % 8 == 0 else _NO_STATE)
            size += len(words[-1]) // 8
        starts.append(size)
        rows += unfolded(key)
        row_starts.append(len(rows))
    return Stored(
        np.frombuffer(bytearray().join(words), "<i8").astype(np.int64, copy=False),
        np.array(starts, np.int64),
        np.array(rows, np.int64).reshape(len(rows), KERNELS[entity].width),
        np.array(row_starts, np.int64),
    )
