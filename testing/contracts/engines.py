"""What kernels and brute force say of random logs, for other engines to agree with."""

import random

import numpy as np
import pytest

from stream_features.catalogue.features import FEATURES, KEY_FIELD, LABELLED, NAMES, feature_indexes
from stream_features.encode import ROW_OF
from stream_features.kernels import state
from stream_features.offline import bulk as offline
from stream_features.offline import oracle
from stream_features.vector import keys_of, request_features
from testing.contracts.event_streams import label_rows, rows_of, with_bounds
from testing.contracts.random_logs import HORIZON, label_table, prefixes, transaction_table, with_prefixes

DERIVED = ("mean", "std", "speed", "ratio_to_mean", "fraud_rate")


def assert_agree(one, other):
    """That two engines' float64 values, shape (n, features), are the same."""
    unlike = np.isnan(one) != np.isnan(other)
    exact = np.array([f.aggregate not in DERIVED for f in FEATURES])
    both = ~np.isnan(one) & ~np.isnan(other)
    a, b = np.where(both, one, 0), np.where(both, other, 0)
    unlike |= np.where(exact, a != b, np.abs(a - b) > 1e-9 * np.abs(b))
    assert [(NAMES[f], one[i, f], other[i, f]) for i, f in np.argwhere(unlike)] == []


def by_kernel_within(stream, its_prefixes):
    """Each transaction's features from states of what its prefix holds, as the scorer reads them."""
    out = np.full((len(its_prefixes), len(NAMES)), np.nan)
    for row, (_, at_hand), prefix in zip(out, stream.transactions, its_prefixes, strict=True):
        row[feature_indexes("request")] = request_features(at_hand)
        for entity, key in keys_of(at_hand):
            events, labels = seen(stream, prefix, entity, key)
            its = state.fold(
                entity, state.empty(entity), rows_of(entity, events), label_rows(labels), HORIZON
            )
            state.KERNELS[entity].read(its, ROW_OF[entity](at_hand), HORIZON, row)
    return out


def seen(stream, prefix, entity, key):
    """What a prefix holds of a key: transactions, and labels if the entity has any."""
    field = KEY_FIELD[entity]
    events = [
        tx
        for place, tx in stream.transactions
        if getattr(tx, field) == key and prefix.holds(entity, place, tx)
    ]
    labels = [
        label
        for place, label in stream.labels
        if entity in LABELLED and getattr(label, field) == key and prefix.holds_label(entity, place)
    ]
    return events, labels


def by_brute_force(at_hand, events_and_labels, bounds):
    events = {entity: found for entity, (found, _) in events_and_labels.items()}
    labels = [label for _, found in events_and_labels.values() for label in found]
    return oracle.oracle(at_hand, events, labels, HORIZON, bounds.rows, bounds.labels)


def before(stream, at_hand, entity, key):
    """What became known of a key before the transaction at hand."""
    field = KEY_FIELD[entity]
    events = [e for _, e in stream.transactions if getattr(e, field) == key and e.ts < at_hand.ts]
    labels = [
        item
        for _, item in stream.labels
        if entity in LABELLED and getattr(item, field) == key and item.known_at < at_hand.ts
    ]
    return events, labels


def recomputed(found, bounds, seed):
    """Some streams' features by the kernels, made sure of by brute force.

    Gives transactions, labels, the transactions with a prefix each, and two matrices of float64: as of each
    transaction's own time, and within its prefix.
    """
    transactions, labels = transaction_table(found), label_table(found)
    rng = random.Random(seed)
    chosen = [prefixes(stream, rng) for stream in found]
    with pytest.MonkeyPatch.context() as patch:
        with_bounds(patch, bounds.distinct, bounds.rows, bounds.labels)
        patch.setattr(offline, "DISTINCT_CAP", bounds.distinct)
        patch.setattr(offline, "MAX_ROWS", bounds.rows)
        patch.setattr(offline, "MAX_LABELS", bounds.labels)
        as_of = offline.bulk_features(transactions, labels, dtype=np.float64)
        within = np.concatenate([by_kernel_within(*pair) for pair in zip(found, chosen, strict=True)])
        brute_as_of = [
            by_brute_force(tx, {e: before(stream, tx, e, key) for e, key in keys_of(tx)}, bounds)
            for stream in found
            for _, tx in stream.transactions
        ]
        brute_within = [
            by_brute_force(tx, {e: seen(stream, prefix, e, key) for e, key in keys_of(tx)}, bounds)
            for stream, its in zip(found, chosen, strict=True)
            for (_, tx), prefix in zip(stream.transactions, its, strict=True)
        ]
    assert_agree(as_of, np.array(brute_as_of))
    assert_agree(within, np.array(brute_within))
    asked = with_prefixes(transactions, [prefix for its in chosen for prefix in its])
    return transactions, labels, asked, as_of, within
