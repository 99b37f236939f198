"""Reference features of random logs, by kernels and brute force, for other engines to agree with.

A test of an engine of your own, where `my_engine` returns float64 of shape (n, features):

    @given(st.lists(event_logs("x"), min_size=1, max_size=1), st.integers(0, 2**32))
    def test_my_engine_agrees(logs, seed):
        reference = reference_features(logs, Bounds(), seed)
        assert_agree(my_engine(reference.transactions, reference.labels), reference.as_of)
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from fraudsim.arrays import Doubles
from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import FEATURES, KEY_FIELD, LABELLED, NAMES, feature_indexes
from stream_features.encode import ROW_OF
from stream_features.kernels import state
from stream_features.offline import bulk, oracle
from stream_features.offline.sql.statement import StateBounds
from stream_features.vector import keys_of, request_features
from testing.contracts.event_streams import label_rows, rows_of, with_bounds
from testing.contracts.random_logs import (
    HORIZON,
    EventLog,
    Prefix,
    label_table,
    prefixes,
    transaction_table,
    with_prefixes,
)

DERIVED: Final = ("mean", "std", "speed", "ratio_to_mean", "fraud_rate")
"""Aggregates that engines may round differently, to 1e-9 relative; the others must be equal."""

KeyEvents = tuple[list[Transaction], list[Label]]
"""Transactions and labels of one key."""


class Reference(NamedTuple):
    """Inputs of an engine, and the features it must compute."""

    transactions: pa.Table
    labels: pa.Table
    with_prefixes: pa.Table
    """The transactions with the prefix of a decision on each."""
    as_of: Doubles
    """Features as of each transaction's own time, shape (n, features)."""
    within: Doubles
    """Features within each transaction's prefix, shape (n, features)."""


def assert_agree(values: npt.NDArray[Any], others: npt.NDArray[Any]) -> None:
    """Assert that two engines' float64 values, shape (n, features), are the same."""
    unlike = np.isnan(values) != np.isnan(others)
    exact = np.array([feature.aggregate not in DERIVED for feature in FEATURES])
    comparable = ~np.isnan(values) & ~np.isnan(others)
    a, b = np.where(comparable, values, 0), np.where(comparable, others, 0)
    unlike |= np.where(exact, a != b, np.abs(a - b) > 1e-9 * np.abs(b))
    assert [(NAMES[f], values[i, f], others[i, f]) for i, f in np.argwhere(unlike)] == []


def by_kernel_within(log: EventLog, log_prefixes: Sequence[Prefix]) -> Doubles:
    """Each transaction's features from the states of its prefix, as the scorer reads them."""
    out = np.full((len(log_prefixes), len(NAMES)), np.nan)
    for row, (_, at_hand), prefix in zip(out, log.transactions, log_prefixes, strict=True):
        row[feature_indexes("request")] = request_features(at_hand)
        for entity, key in keys_of(at_hand):
            events, labels = events_in_prefix(log, prefix, entity, key)
            key_state = state.fold(
                entity, state.empty(entity), rows_of(entity, events), label_rows(labels), HORIZON
            )
            kernel: Any = state.KERNELS[entity]  # fills float64 too
            kernel.read(key_state, ROW_OF[entity](at_hand), HORIZON, row)
    return out


def events_in_prefix(log: EventLog, prefix: Prefix, entity: str, key: str) -> KeyEvents:
    """The events of a key that a prefix holds."""
    field = KEY_FIELD[entity]
    events = [
        tx
        for position, tx in log.transactions
        if getattr(tx, field) == key and prefix.holds(entity, position, tx)
    ]
    labels = [
        label
        for position, label in log.labels
        if entity in LABELLED and getattr(label, field) == key and prefix.holds_label(entity, position, label)
    ]
    return events, labels


def events_before(log: EventLog, at_hand: Transaction, entity: str, key: str) -> KeyEvents:
    """The events of a key that became known before the transaction at hand."""
    field = KEY_FIELD[entity]
    events = [tx for _, tx in log.transactions if getattr(tx, field) == key and tx.ts < at_hand.ts]
    labels = [
        label
        for _, label in log.labels
        if entity in LABELLED and getattr(label, field) == key and label.known_at < at_hand.ts
    ]
    return events, labels


def by_brute_force(
    at_hand: Transaction, by_entity: Mapping[str, KeyEvents], bounds: StateBounds
) -> list[float]:
    """The vector of one transaction from its keys' events."""
    events = {entity: transactions for entity, (transactions, _) in by_entity.items()}
    labels = [label for _, key_labels in by_entity.values() for label in key_labels]
    return oracle.oracle(at_hand, events, labels, HORIZON, bounds.rows, bounds.labels)


def reference_features(logs: Sequence[EventLog], bounds: StateBounds, seed: int) -> Reference:
    """Features of logs by the kernels, checked against brute force; `seed` draws the prefixes."""
    transactions, labels = transaction_table(logs), label_table(logs)
    rng = random.Random(seed)
    log_prefixes = [prefixes(log, rng) for log in logs]
    with pytest.MonkeyPatch.context() as patch:
        with_bounds(patch, bounds.distinct, bounds.rows, bounds.labels)
        patch.setattr(bulk, "DISTINCT_CAP", bounds.distinct)
        patch.setattr(bulk, "MAX_ROWS", bounds.rows)
        patch.setattr(bulk, "MAX_LABELS", bounds.labels)
        as_of: npt.NDArray[Any] = bulk.bulk_features(transactions, labels, dtype=np.float64)
        within = np.concatenate([by_kernel_within(*pair) for pair in zip(logs, log_prefixes, strict=True)])
        brute_as_of = [
            by_brute_force(tx, {e: events_before(log, tx, e, key) for e, key in keys_of(tx)}, bounds)
            for log in logs
            for _, tx in log.transactions
        ]
        brute_within = [
            by_brute_force(tx, {e: events_in_prefix(log, prefix, e, key) for e, key in keys_of(tx)}, bounds)
            for log, row_prefixes in zip(logs, log_prefixes, strict=True)
            for (_, tx), prefix in zip(log.transactions, row_prefixes, strict=True)
        ]
    assert_agree(as_of, np.array(brute_as_of))
    assert_agree(within, np.array(brute_within))
    all_prefixes = [prefix for row_prefixes in log_prefixes for prefix in row_prefixes]
    return Reference(transactions, labels, with_prefixes(transactions, all_prefixes), as_of, within)
