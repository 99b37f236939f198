"""The kernels against brute force: windows, boundaries, arrival order, batch cuts, bounds."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.log.events import Label
from stream_features.catalogue.features import (
    DAY,
    DISTINCT_CAP,
    EARTH_KM,
    EXACT,
    FEATURES,
    HOUR,
    LABELLED,
    LONGEST,
    MAX_LABELS,
    MAX_ROWS,
    MINUTE,
    NAMES,
    PLACE_STEPS,
    TAIL_RESOLUTION,
    WINDOWED,
)
from stream_features.encode import location_code
from stream_features.kernels import exact as kernel_exact
from stream_features.kernels import seen_set, state
from stream_features.kernels import tiled as kernel_tiled
from stream_features.vector import SIZE, keys_of, vector
from testing.contracts import aggregate
from testing.contracts.event_streams import (
    HORIZON,
    T0,
    assert_close,
    events_of,
    events_of_key,
    folded_state,
    label_rows,
    labels_of,
    oracle_vector,
    rows_of,
    served_vector,
    states_of,
    transactions_at_hand,
    tx,
    with_bounds,
)


def value(name, vector_of_it):
    return vector_of_it[NAMES.index(name)]


@pytest.mark.parametrize("entity", WINDOWED)
def test_a_shipped_kernel_keeps_the_contract(entity):
    aggregate.check_kernel(entity, state.KERNELS[entity])


class DropsLateRows(state.ExactKernel):
    def fold(self, old, rows, labels, horizon_ms):
        return super().fold(old, rows[rows[:, 0] >= self.newest(old)], labels, horizon_ms)


class AnswersBeyondTheHorizon(state.TiledKernel):
    def read(self, old, row, horizon_ms, out):
        return super().read(old, row, 100 * horizon_ms, out)


class CountsOneMillisecondMore(state.ExactKernel):
    def read(self, old, row, horizon_ms, out):
        spec = self.spec.copy()
        spec[:, 1] += 1
        return state.ExactKernel(self.kind, spec).read(old, row, horizon_ms, out)


def broken(kernel_class, entity):
    return kernel_class(state.KERNELS[entity].kind, state.KERNELS[entity].spec)


def test_a_kernel_that_breaks_the_contract_is_told_which_rule():
    events = [tx(n, T0 + n * MINUTE) for n in range(4)]
    with pytest.raises(AssertionError, match="card: the state depends on the order of arrival"):
        aggregate.check_arrival_order("card", broken(DropsLateRows, "card"), events, [], random.Random(1))
    with pytest.raises(AssertionError, match="ip: a read beyond the horizon is not flagged"):
        aggregate.check_horizon("ip", broken(AnswersBeyondTheHorizon, "ip"), events, [])
    at_hand = tx("x", T0 + 5 * MINUTE + 1)
    with pytest.raises(AssertionError, match=r"device_count_5m is 5\.0, brute force says 4\.0"):
        aggregate.check_features("device", broken(CountsOneMillisecondMore, "device"), at_hand, events, [])


@settings(deadline=None, max_examples=120)
@given(st.data(), events_of(), labels_of(), st.integers(0, HORIZON), st.integers(1, 4), st.randoms())
def test_every_feature_equals_brute_force_whatever_the_order_and_the_cuts(
    data, events, labels, back, cuts, rng
):
    at_hand = data.draw(transactions_at_hand(events, labels, back))
    shuffled, mixed_labels = list(events), list(labels)
    rng.shuffle(shuffled)
    rng.shuffle(mixed_labels)
    got, complete = served_vector(at_hand, shuffled, mixed_labels, cuts)
    assert complete
    assert_close(got, oracle_vector(at_hand, events, labels))


@settings(deadline=None, max_examples=250)
@given(
    st.data(), events_of(), labels_of(), st.integers(0, HORIZON), st.integers(1, 4),
    st.integers(1, 3), st.integers(1, 6), st.integers(1, 4),
)  # fmt: skip
def test_bounds_make_null_or_cap_and_never_wrong(data, events, labels, back, cuts, cap, rows, kept_labels):
    at_hand = data.draw(transactions_at_hand(events, labels, back))
    with pytest.MonkeyPatch.context() as patch:
        with_bounds(patch, cap, rows, kept_labels)
        got, _ = served_vector(at_hand, events, labels, cuts)
        wanted = oracle_vector(at_hand, events, labels, row_bound=rows, label_bound=kept_labels)
    assert_close(got, wanted)


@settings(deadline=None, max_examples=100)
@given(st.data(), events_of(), labels_of(), st.integers(1, 3 * HORIZON))
def test_brute_force_is_null_beyond_the_horizon_where_the_kernel_is(data, events, labels, back):
    at_hand = data.draw(transactions_at_hand(events, [], back))
    got, _ = served_vector(at_hand, events, labels)
    assert_close(got, oracle_vector(at_hand, events, labels))


@st.composite
def crowds(draw):
    """Many cards at one merchant and address within few minutes, in the seconds around the horizon."""
    n = draw(st.integers(1, 60))
    base = T0 // DAY * DAY + draw(st.integers(0, 3)) * DAY
    return [
        tx(
            i, base + draw(st.integers(0, 250)) * draw(st.sampled_from([100, 1000])), 1,
            f"c{draw(st.integers(0, 12))}",
        )
        for i in range(n)
    ]  # fmt: skip


@settings(deadline=None, max_examples=250)
@given(crowds(), st.integers(0, HORIZON), st.integers(1, 5), st.integers(1, 4), st.randoms())
def test_the_distinct_cards_of_a_crowd_are_exact_at_any_time_within_the_horizon(events, back, cuts, cap, rng):
    at_hand = tx("at hand", max(e.ts for e in events) - back, card="c0")
    with pytest.MonkeyPatch.context() as patch:
        with_bounds(patch, cap)
        rng.shuffle(events)
        got, _ = served_vector(at_hand, events, (), cuts)
        assert_close(got, oracle_vector(at_hand, events))
        for entity in ("merchant", "ip"):
            assert (
                folded_state(entity, events).tobytes()
                == folded_state(entity, sorted(events, key=lambda e: e.ts), (), cuts).tobytes()
            )


@settings(deadline=None, max_examples=150)
@given(events_of(), labels_of(), st.integers(1, 5), st.sampled_from([2, 64]), st.randoms())
def test_the_bytes_depend_on_the_set_of_events_alone(events, labels, bound, cap, rng):
    at_hand = tx("at hand", T0)
    with pytest.MonkeyPatch.context() as patch:
        with_bounds(patch, cap, rows=bound if cap == 2 else None, labels=bound if cap == 2 else None)
        for entity, key in keys_of(at_hand):
            key_events, key_labels = events_of_key(entity, events, key), labels if entity in LABELLED else []
            once = state.to_bytes(folded_state(entity, key_events, key_labels))
            mixed, mixed_labels = list(key_events), list(key_labels)
            rng.shuffle(mixed)
            rng.shuffle(mixed_labels)
            again = state.to_bytes(folded_state(entity, mixed, mixed_labels, cuts=3))
            assert once == again
            assert state.canonical(entity, once, HORIZON) == once


COUNTING = [f for f in FEATURES if f.aggregate in ("count", "distinct", "same")]


@pytest.mark.parametrize("feature", COUNTING, ids=lambda f: f.name)
def test_a_window_starts_exactly_at_its_tail_s_edge_and_ends_before_its_head_s(feature):
    now = T0 // DAY * DAY + 3 * HOUR + 4_321
    low = (now - feature.window_ms) // feature.tail_ms * feature.tail_ms
    high = now // feature.head_ms * feature.head_ms
    keys = {"card": "c", "device": "d", "merchant": "m", "ip": "1.2.3.4"}
    if feature.aggregate == "distinct":
        keys[feature.counterpart] = "another"
    at_hand_too = feature.aggregate != "same"
    for ts, counted in ((low - 1, 0), (low, 1), (high - 1, 1), (high, 0)):
        got, _ = served_vector(tx("now", now), [tx(1, ts, **keys)])
        assert value(feature.name, got) == counted + at_hand_too, ts - low


def test_the_transaction_at_hand_is_never_counted_twice_and_equal_timestamps_do_not_see_each_other():
    at_hand, twin = tx(1, T0, 700), tx(2, T0, 900)
    before, _ = served_vector(at_hand, [])
    after, _ = served_vector(at_hand, [at_hand, twin])
    np.testing.assert_array_equal(before, after)


def test_beyond_the_horizon_features_are_null_and_flagged():
    got, complete = served_vector(tx(1, T0 - HORIZON - 1), [tx(2, T0)])
    assert not complete
    assert all(np.isnan(v) for v, f in zip(got, FEATURES, strict=True) if f.entity != "request")


def test_what_a_transaction_lacks_is_null_and_costs_no_state():
    at_hand = tx(1, T0, device=None, merchant=None, ip=None)
    assert keys_of(at_hand) == [("card", "c")]
    got, complete = served_vector(at_hand, [tx(2, T0 - 1)])
    assert complete
    assert all(np.isnan(v) for v, f in zip(got, FEATURES, strict=True) if f.entity in WINDOWED[1:])
    assert np.isnan(value("card_same_device_30d", got))
    assert value("card_count_1m", got) == 2


def test_a_state_that_cannot_be_read_leaves_its_own_features_null():
    at_hand = tx(1, T0)
    got, _ = vector(at_hand, {**states_of(at_hand, []), "device": None}, HORIZON)
    null = {f.entity for v, f in zip(got, FEATURES, strict=True) if np.isnan(v) and f.aggregate == "count"}
    assert null == {"device"}


@pytest.mark.parametrize("entity", EXACT)
def test_a_key_over_its_bound_gives_null_for_windows_that_reach_past_the_floor_and_exact_ones_else(entity):
    n = MAX_ROWS + 500
    events = [tx(i, T0 + i * 1000) for i in range(n)]
    random.Random(1).shuffle(events)
    full = folded_state(entity, events, cuts=7)
    assert full.size == kernel_exact.HEADER + kernel_exact.WIDTH * MAX_ROWS
    at_hand = tx("x", T0 + n * 1000)
    got, _ = served_vector(at_hand, events, cuts=7)
    assert value(f"{entity}_count_5m", got) == 301
    assert np.isnan(value(f"{entity}_count_24h", got))
    assert_close(got, oracle_vector(at_hand, events))


def test_a_floor_that_no_window_reaches_any_more_is_forgotten(monkeypatch):
    with_bounds(monkeypatch, rows=1)
    events = [tx(1, T0), tx(2, T0 + 1), tx(3, T0 + LONGEST + HORIZON + 1)]
    assert folded_state("card", events, cuts=3).tobytes() == folded_state("card", events).tobytes()
    assert folded_state("card", events[:2])[3] == T0


@pytest.mark.parametrize("extra", [0, 1, 3])
def test_a_merchant_with_more_labels_than_its_bound_has_no_fraud_rate(extra):
    labels = [
        Label(
            tx_id=f"t{i}", card_id="c", merchant_id="m", ts=T0, amount_cents=1, is_fraud=True,
            source="customer", known_at=T0 + i,
        )
        for i in range(MAX_LABELS + extra)
    ]  # fmt: skip
    at_hand = tx("x", T0 + DAY)
    got, complete = served_vector(at_hand, [], labels, cuts=3)
    assert complete
    assert np.isnan(value("merchant_fraud_30d", got)) == (extra > 0)
    assert_close(got, oracle_vector(at_hand, [], labels))


@pytest.mark.parametrize("entity", ["merchant", "ip"])
def test_a_hot_key_is_bounded_and_exact(entity):
    rng = random.Random(3)
    events = [
        tx(i, T0 + rng.randrange(40 * DAY), rng.randrange(10_000), f"c{rng.randrange(300)}")
        for i in range(20_000)
    ]
    hot = folded_state(entity, events, cuts=20)
    assert hot.size < kernel_tiled.HEADER + kernel_tiled.TILE * 700 + kernel_tiled.SIGHTING * 200
    newest = max(e.ts for e in events)
    for back in (-DAY, -1, 0, 1, 1_234, 59_000, 61_001, HORIZON - 1, HORIZON):
        at_hand = tx("x", newest - back, 50)
        got, _ = vector(at_hand, {entity: hot}, HORIZON)
        assert back < -1 or value(f"{entity}_cards_24h", got) == DISTINCT_CAP
        assert_close(got, oracle_vector(at_hand, events), {f.name for f in FEATURES if f.entity == entity})


def test_many_counterparts_are_counted_up_to_the_cap():
    for n in (DISTINCT_CAP - 2, DISTINCT_CAP - 1, DISTINCT_CAP, 200):
        events = [tx(i, T0 + i, card=f"c{i}", merchant=f"m{i}") for i in range(n)]
        own = [tx(f"o{i}", T0 + i, merchant=f"m{i}", device=f"d{i}") for i in range(n)]
        at_hand = tx("x", T0 + MINUTE)
        got, _ = served_vector(at_hand, [*events, *own])
        assert value("card_merchants_1h", got) == min(DISTINCT_CAP, n + 1)
        assert value("card_devices_24h", got) == min(DISTINCT_CAP, n + 1)
        assert value("device_cards_1h", got) == value("ip_cards_1h", got) == min(DISTINCT_CAP, n + 1)


def test_one_late_row_is_inserted_and_the_rest_stays_as_it_is():
    rng = np.random.default_rng(5)
    for entity in WINDOWED:
        events = [tx(i, T0 + int(ts)) for i, ts in enumerate(np.sort(rng.integers(0, DAY, 500)))]
        late = events.pop(250)
        in_order = folded_state(entity, events)
        again = state.fold(entity, in_order, rows_of(entity, [late]), label_rows([]), HORIZON)
        assert again.tobytes() == folded_state(entity, [late, *events]).tobytes()


@pytest.mark.parametrize("blob", [b"", b"1234567", b"\0" * 64, b"garbage!" * 9])
@pytest.mark.parametrize("entity", WINDOWED)
def test_an_unreadable_blob_is_refused_and_not_taken_for_an_empty_one(entity, blob):
    with pytest.raises(state.UnreadableStateError):
        state.from_bytes(entity, blob)


@pytest.mark.parametrize("entity", WINDOWED)
def test_a_blob_is_read_as_its_own_entity_and_as_no_other(entity):
    blob = state.to_bytes(folded_state(entity, [tx(1, T0)]))
    assert state.to_bytes(state.from_bytes(entity, blob)) == blob
    for other in set(WINDOWED) - {entity}:
        with pytest.raises(state.UnreadableStateError):
            state.from_bytes(other, blob)
    with pytest.raises(state.UnreadableStateError):
        state.from_bytes(entity, blob[:-8])


@pytest.mark.parametrize("lat", [-89.0, -33.87, 0.0, 48.20849, 71.3])
def test_places_one_metre_apart_are_as_far_apart_as_a_meridian_has_it(lat):
    got = kernel_exact._kilometres(location_code(lat, 16.4), location_code(lat + 1 / PLACE_STEPS, 16.4))
    assert got == pytest.approx(EARTH_KM * math.radians(1 / PLACE_STEPS), rel=1e-12)


def test_the_vector_has_the_catalogue_s_size():
    got, _ = vector(tx(1, T0), {}, HORIZON)
    assert got.shape == (SIZE,) == (len(NAMES),)


def test_resolutions_divide_each_other_and_the_sets_have_room():
    lengths = list(TAIL_RESOLUTION.values())
    assert all(b % a == 0 for a, b in pairwise(lengths))
    assert list(TAIL_RESOLUTION) == sorted(TAIL_RESOLUTION)
    assert max(f.window_ms for f in FEATURES) <= LONGEST == max(TAIL_RESOLUTION)
    assert seen_set.WORDS >= 2 * DISTINCT_CAP
