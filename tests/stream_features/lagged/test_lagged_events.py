"""States as of a lag ago, against brute force over all events before that time."""

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_features.catalogue.features import DAY, HOUR, LABELLED, MINUTE
from stream_features.lagged.lagged_events import LaggedEvents
from stream_features.offline.oracle import oracle
from stream_features.vector import keys_of, vector
from testing.contracts.random_logs import HORIZON, EventLog, event_logs

NEVER_BEYOND = 10**15


def expected_vector(log, at_hand, until_ms):
    """By the oracle, from the events before a time."""
    keys = keys_of(at_hand)
    events = {
        key[0]: [tx for _, tx in log.transactions if key in keys_of(tx) and tx.ts < until_ms] for key in keys
    }
    labels = [
        label
        for _, label in log.labels
        if label.merchant_id == at_hand.merchant_id and label.merchant_id and label.known_at < until_ms
    ]
    return oracle(at_hand, events, labels, NEVER_BEYOND)


def served_vector(lagged, at_hand, until_ms):
    states = {key[0]: lagged.state(key, until_ms) for key in keys_of(at_hand)}
    return vector(at_hand, states, HORIZON)[0]


def assert_equal(served, expected):
    for a, b in zip(served.tolist(), np.array(expected, np.float32).tolist(), strict=True):
        assert (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= 1e-6 * abs(b)


@settings(max_examples=30, deadline=None)
@given(event_logs("a"), st.sampled_from([1, MINUTE, HOUR, DAY]), st.integers(0, 5))
def test_every_state_holds_what_happened_before_its_time_in_whatever_order_it_came(log, lag_ms, seed):
    rng = random.Random(seed)
    known, lagged = EventLog(), LaggedEvents({}, HORIZON)
    steps = [("tx", item) for item in log.transactions] + [("label", item) for item in log.labels]
    rng.shuffle(steps)
    for kind, (position, event) in steps:
        if kind == "tx":
            known.transactions.append((position, event))
            lagged.add_transaction(event)
        else:
            known.labels.append((position, event))
            lagged.add_label(event)
        at_hand = rng.choice(log.transactions)[1]
        if rng.random() < 0.2:
            lagged.fold_before(min(tx.ts for _, tx in log.transactions) - lag_ms)
        until_ms = at_hand.ts - lag_ms
        assert_equal(served_vector(lagged, at_hand, until_ms), expected_vector(known, at_hand, until_ms))


@settings(max_examples=30, deadline=None)
@given(event_logs("a"), st.sampled_from([MINUTE, HOUR]))
def test_folding_what_is_old_changes_no_later_state_and_frees_its_rows(log, lag_ms):
    lagged = LaggedEvents({}, HORIZON)
    for _, tx in log.transactions:
        lagged.add_transaction(tx)
    for _, label in log.labels:
        lagged.add_label(label)
    before = lagged.rows
    for _, at_hand in sorted(log.transactions, key=lambda item: item[1].ts):
        until_ms = at_hand.ts - lag_ms
        lagged.fold_before(until_ms)
        assert lagged.answers_from_ms == until_ms
        assert_equal(served_vector(lagged, at_hand, until_ms), expected_vector(log, at_hand, until_ms))
    newest = max(tx.ts for _, tx in log.transactions)
    lagged.fold_before(newest + 200 * DAY)
    assert 0 == lagged.rows < before
    assert LABELLED == ("merchant",)
