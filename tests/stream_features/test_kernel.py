"""The kernel against brute force: windows, boundaries, arrival order, batch cuts."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.events import Label, Transaction
from stream_features import kernel_card, kernel_merchant, state
from stream_features.catalogue import DAY, FEATURES, HOUR, MERCHANT_TAIL, MINUTE, NAMES
from stream_features.encode import card_row, label_row, merchant_row
from stream_features.oracle import oracle
from stream_features.vector import SIZE, vector

HORIZON = 2 * MINUTE
T0 = 1_700_000_000_000
GAPS = [
    0,
    1,
    999,
    1000,
    59_999,
    60_000,
    60_001,
    5 * MINUTE,
    HOUR - 1,
    HOUR,
    DAY,
    DAY + 1,
    3 * DAY,
    7 * DAY,
    30 * DAY,
]


def rows_of(entity, events):
    make = card_row if entity == "card" else merchant_row
    return (
        np.array([make(e) for e in events], np.int64).reshape(len(events), -1)
        if events
        else state.NO_ROWS[entity]
    )


def label_rows(labels):
    return np.array([label_row(item) for item in labels], np.int64).reshape(-1, 3)


def folded(entity, events, labels=(), horizon=HORIZON, cuts=1):
    result = state.empty(entity)
    edges = np.linspace(0, len(events), cuts + 1).astype(int)
    label_edges = np.linspace(0, len(labels), cuts + 1).astype(int)
    for (a, b), (c, d) in zip(pairwise(edges), pairwise(label_edges), strict=True):
        rows = rows_of(entity, list(events)[a:b])
        result = state.fold(entity, result, rows, label_rows(list(labels)[c:d]), horizon)
    return result


def tx(n, ts, amount=100, merchant="m", lat=None, lon=None, card="c"):
    return Transaction(
        tx_id=f"t{n}", ts=ts, card_id=card, amount_cents=amount, merchant_id=merchant, lat=lat, lon=lon
    )


@st.composite
def histories(draw):
    gaps = draw(st.lists(st.sampled_from(GAPS) | st.integers(0, 40 * DAY), min_size=1, max_size=25))
    ts, events = T0, []
    for n, gap in enumerate(gaps):
        ts += gap
        events.append(
            tx(
                n,
                ts,
                draw(st.integers(0, 10**9)),
                draw(st.sampled_from(["a", "b", "m", None])),
                *((48.1, n / 7) if n % 3 else (None, None)),
            )
        )
    return events


@st.composite
def label_lists(draw):
    n = draw(st.integers(0, 12))
    return [
        Label(
            tx_id=f"t{draw(st.integers(0, 4))}",
            card_id="c",
            merchant_id="m",
            ts=T0,
            amount_cents=1,
            is_fraud=draw(st.booleans()),
            source=draw(st.sampled_from(["customer", "chargeback", "analyst"])),
            known_at=T0 + draw(st.sampled_from(GAPS) | st.integers(0, 150 * DAY)),
        )
        for _ in range(n)
    ]


def assert_close(got, expected):
    for name, a, b in zip(NAMES, got, expected, strict=True):
        if math.isnan(b):
            assert math.isnan(a), name
        else:
            assert a == pytest.approx(np.float32(b), rel=1e-6), (name, a, b)


@settings(deadline=None, max_examples=300)
@given(histories(), label_lists(), st.integers(0, HORIZON), st.integers(1, 4), st.randoms())
def test_every_feature_equals_brute_force_whatever_the_order_and_the_cuts(events, labels, back, cuts, rng):
    newest = max(e.ts for e in events)
    newest_label = max((item.known_at for item in labels), default=0)
    at_hand = tx("at hand", max(newest, newest_label) - back, 5_000, "m", 48.2, 16.4)
    shuffled, mixed_labels = list(events), list(labels)
    rng.shuffle(shuffled)
    rng.shuffle(mixed_labels)
    of_merchant = [e for e in shuffled if e.merchant_id == "m"]
    got, whole = vector(
        at_hand,
        folded("card", shuffled, cuts=cuts),
        folded("merchant", of_merchant, mixed_labels, cuts=cuts),
        HORIZON,
    )
    assert whole
    assert_close(got, oracle(at_hand, events, of_merchant, labels, HORIZON))


@settings(deadline=None, max_examples=200)
@given(histories(), label_lists(), st.integers(1, 3 * HORIZON))
def test_brute_force_is_null_beyond_the_horizon_where_the_kernel_is(events, labels, back):
    of_merchant = [e for e in events if e.merchant_id == "m"]
    at_hand = tx("at hand", max(e.ts for e in events) - back, 5_000)
    got, _ = vector(at_hand, folded("card", events), folded("merchant", of_merchant, labels), HORIZON)
    assert_close(got, oracle(at_hand, events, of_merchant, labels, HORIZON))


@settings(deadline=None, max_examples=200)
@given(histories(), label_lists(), st.randoms())
def test_the_bytes_depend_on_the_set_of_events_alone(events, labels, rng):
    for entity, its in (("card", events), ("merchant", [e for e in events if e.merchant_id == "m"])):
        its_labels = labels if entity == "merchant" else []
        once = state.to_bytes(folded(entity, its, its_labels))
        mixed, mixed_labels = list(its), list(its_labels)
        rng.shuffle(mixed)
        rng.shuffle(mixed_labels)
        again = state.to_bytes(folded(entity, mixed, mixed_labels, cuts=3))
        assert once == again
        assert state.canonical(entity, once, HORIZON) == once


@pytest.mark.parametrize("window", sorted(MERCHANT_TAIL))
def test_a_card_window_starts_exactly_at_now_minus_w(window):
    on_edge, outside = tx(1, T0), tx(2, T0 - 1)
    feature = next(
        f for f in FEATURES if f.entity == "card" and f.aggregate == "count" and f.window_ms == window
    )
    got, _ = vector(tx(3, T0 + window), folded("card", [outside, on_edge]), None, HORIZON)
    assert got[NAMES.index(feature.name)] == 2


def test_the_transaction_at_hand_is_never_counted_twice_and_equal_timestamps_do_not_see_each_other():
    at_hand = tx(1, T0, 700)
    twin = tx(2, T0, 900)
    before, _ = vector(at_hand, folded("card", []), folded("merchant", []), HORIZON)
    after, _ = vector(at_hand, folded("card", [at_hand, twin]), folded("merchant", [at_hand, twin]), HORIZON)
    np.testing.assert_array_equal(before, after)


def test_beyond_the_horizon_features_are_null_and_said_to_be():
    got, whole = vector(tx(1, T0 - HORIZON - 1), folded("card", [tx(2, T0)]), None, HORIZON)
    assert not whole
    assert np.isnan(got[6:]).all()


def test_a_card_over_its_bound_gives_null_for_windows_that_reach_past_the_floor_and_exact_ones_else():
    n = kernel_card.CARD_ROWS + 500
    events = [tx(i, T0 + i * 1000) for i in range(n)]
    random.Random(1).shuffle(events)
    full = folded("card", events, cuts=7)
    assert full.size == kernel_card.HEADER + kernel_card.WIDTH * kernel_card.CARD_ROWS
    at_hand = tx("x", T0 + n * 1000)
    got, _ = vector(at_hand, full, folded("merchant", []), HORIZON)
    assert got[NAMES.index("card_count_5m")] == 301
    assert np.isnan(got[NAMES.index("card_count_24h")])
    assert_close(got, oracle(at_hand, events, [], [], HORIZON))


@pytest.mark.parametrize("extra", [0, 1, 3])
def test_a_merchant_with_more_labels_than_its_bound_has_no_fraud_rate(extra):
    labels = [
        Label(
            tx_id=f"t{i}", card_id="c", merchant_id="m", ts=T0, amount_cents=1, is_fraud=True,
            source="customer", known_at=T0 + i,
        )
        for i in range(kernel_merchant.LABEL_ROWS + extra)
    ]  # fmt: skip
    at_hand = tx("x", T0 + DAY)
    got, whole = vector(at_hand, folded("card", []), folded("merchant", [], labels, cuts=3), HORIZON)
    assert whole
    assert np.isnan(got[NAMES.index("merchant_fraud_30d")]) == (extra > 0)
    assert_close(got, oracle(at_hand, [], [], labels, HORIZON))


def test_a_hot_merchant_is_bounded_and_exact():
    rng = random.Random(3)
    events = [tx(i, T0 + rng.randrange(40 * DAY), rng.randrange(10_000)) for i in range(20_000)]
    hot = folded("merchant", events, cuts=20)
    assert hot.size < 6 + 5 * 700
    at_hand = tx("x", max(e.ts for e in events) - 1234, 50)
    got, _ = vector(at_hand, None, hot, HORIZON)
    expected = oracle(at_hand, [], events, [], HORIZON)
    for i, feature in enumerate(FEATURES):
        if feature.entity == "merchant":
            assert got[i] == pytest.approx(np.float32(expected[i]), rel=1e-6), feature.name


@pytest.mark.parametrize("blob", [b"", b"1234567", b"\0" * 64, b"garbage!" * 9])
def test_an_unreadable_blob_is_refused_and_not_taken_for_an_empty_one(blob):
    with pytest.raises(state.UnreadableStateError):
        state.from_bytes("card", blob)
    with pytest.raises(state.UnreadableStateError):
        state.from_bytes("merchant", blob)


def test_the_vector_has_the_catalogue_s_size():
    got, _ = vector(tx(1, T0), None, None, HORIZON)
    assert got.shape == (SIZE,) == (len(NAMES),)
