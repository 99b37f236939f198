"""The effect of staleness: served vectors against those over everything before `now` in the log."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from fraudsim.log.events import Transaction
from stream_features.catalogue.features import FEATURES, KEY_FIELD, LABELLED, WINDOWED, feature_indexes
from stream_features.encode import ROW_OF
from stream_features.kernels import state as states
from stream_features.kernels.state import KERNELS, NO_LABELS, NO_ROWS, State
from stream_features.offline.bulk import Matrix
from stream_features.parity.log_events import Key, LogEvents
from stream_features.store.prime import StateTable
from stream_features.vector import SIZE, request_features


def fresh_vectors(transactions: Sequence[Transaction], log: LogEvents, base: StateTable) -> Matrix:
    """Each transaction's vector from all events of an earlier time, in its prefix or not: (n, SIZE)."""
    out = np.full((len(transactions), SIZE), np.nan, np.float32)
    if transactions:
        out[:, feature_indexes("request")] = [request_features(tx) for tx in transactions]
    for entity in WINDOWED:
        indices_by_key: dict[str, list[int]] = defaultdict(list)
        for i, tx in enumerate(transactions):
            key = getattr(tx, KEY_FIELD[entity])
            if key is not None:
                indices_by_key[key].append(i)
        for key, indices in indices_by_key.items():
            _read_in_time_order((entity, key), indices, transactions, log, base.get((entity, key)), out)
    return out


def _read_in_time_order(
    key: Key,
    indices: list[int],
    transactions: Sequence[Transaction],
    log: LogEvents,
    base: State | None,
    out: Matrix,
) -> None:
    """Fold a key's events in time order and read its features, at `indices`, before each transaction."""
    entity, horizon_ms = key[0], log.clock.horizon_ms
    state = states.empty(entity) if base is None else base
    key_events = log.by_key.get(key)
    key_labels = log.labels_by_key.get(key) if entity in LABELLED else None
    rows = key_events.array() if key_events else NO_ROWS[entity]
    labels = key_labels.array() if key_labels else NO_LABELS
    rows, labels = rows[np.argsort(rows[:, 0])], labels[np.argsort(labels[:, 1])]
    folded, labels_folded = 0, 0
    for i in sorted(indices, key=lambda index: transactions[index].ts):
        tx = transactions[i]
        end = int(np.searchsorted(rows[:, 0], tx.ts))
        label_end = int(np.searchsorted(labels[:, 1], tx.ts))
        if end > folded or label_end > labels_folded:
            state = states.fold(entity, state, rows[folded:end], labels[labels_folded:label_end], horizon_ms)
            folded, labels_folded = end, label_end
        KERNELS[entity].read(state, ROW_OF[entity](tx), horizon_ms, out[i])


def staleness_effect(served: Matrix, fresh: Matrix) -> dict[str, dict[str, float]]:
    """By feature, how many served vectors differ from the fresh ones, shape (n, SIZE) both, and how far.

    `share` of all vectors differ; in `null_share` of all just one of the two is null. Where both have a value
    and differ, `mean_difference`, `largest_difference` (absolute, in the feature's unit) and `mean_relative`
    (of the fresh value) say how far.
    """
    n = max(1, len(served))
    effect = {}
    for index, feature in enumerate(FEATURES):
        a, b = served[:, index].astype(np.float64), fresh[:, index].astype(np.float64)
        one_null = np.isnan(a) != np.isnan(b)
        differ = ~np.isnan(a) & ~np.isnan(b) & (a != b)
        size = np.abs(a - b)[differ]
        relative = size[b[differ] != 0] / np.abs(b[differ & (b != 0)])
        effect[feature.name] = {
            "share": float((one_null | differ).sum() / n),
            "null_share": float(one_null.sum() / n),
            "mean_difference": float(size.mean()) if size.size else 0.0,
            "largest_difference": float(size.max()) if size.size else 0.0,
            "mean_relative": float(relative.mean()) if relative.size else 0.0,
        }
    return effect
