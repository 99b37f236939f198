"""The features of a batch of transactions from states as Redis holds them: one compiled call an entity."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from fraudsim.log.events import Transaction
from stream_features.encode import ROW_OF
from stream_features.kernels.state import EMPTY, KERNELS, UNREADABLE, Flags, KeyedRows, Matrix, pack
from stream_features.online.unfolded_log import Key
from stream_features.vector import REQUEST_INDEXES, SIZE, request_features

UnfoldedRows = Callable[[Key], Sequence[tuple[int, ...]]]


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
    out[:, REQUEST_INDEXES] = [request_features(tx) for tx in transactions]
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
            pack([_words(entity, blobs[key]) for key in places]),
            _lacking(entity, places, unfolded),
            np.array(asked, np.int64), horizon_ms, out, whole,
        )  # fmt: skip
    return out, whole


def _lacking(entity: str, keys: Iterable[Key], unfolded: UnfoldedRows) -> KeyedRows:
    rows: list[tuple[int, ...]] = []
    counts: list[int] = []
    for key in keys:
        its = unfolded(key)
        rows += its
        counts.append(len(its))
    return KeyedRows(
        np.array(rows, np.int64).reshape(len(rows), KERNELS[entity].width), np.array(counts, np.int64)
    )


def _words(entity: str, blob: bytes | None) -> bytes:
    if blob is None:
        return EMPTY[entity]
    return blob if len(blob) % 8 == 0 else UNREADABLE
