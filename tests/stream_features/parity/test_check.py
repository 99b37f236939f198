"""Parity over an archived log that is written by hand: no Kafka, no Redis."""

import numpy as np
import pytest
from msgspec import structs

from fraudsim.log.events import LogPrefix, Transaction
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from stream_features.catalogue.features import MINUTE, NAMES, feature_indexes
from stream_features.encode import ROW_OF
from stream_features.kernels import state
from stream_features.parity.check import ParityPlan, check_parity
from stream_features.vector import keys_of, vector
from testing.samples.log import T0
from testing.samples.run import make_decision, write_run

HORIZON = 2 * MINUTE
WINDOWS = len(feature_indexes("request"))
SETTINGS = Settings(_env_file=None, partitions=1, slots=8)


def tx(n, minutes, card="c", merchant="m"):
    ts = T0 + int(minutes * MINUTE)
    return Transaction(tx_id=f"t{n}", ts=ts, card_id=card, amount_cents=100 + n, merchant_id=merchant)


def folded(entity, transactions):
    rows = np.array([ROW_OF[entity](t) for t in transactions], np.int64)
    return state.fold(entity, state.empty(entity), rows, state.NO_LABELS, HORIZON)


def features_of(at_hand, card, merchant):
    return vector(at_hand, {"card": folded("card", card), "merchant": folded("merchant", merchant)}, HORIZON)


def prefix(card_to, merchant_to, tail_from, tail_to):
    """What a decision saw of card c and merchant m, as offsets of the one partition; no labels."""
    card, merchant = (str(slot_of(*key, SETTINGS.slots)) for key in (("card", "c"), ("merchant", "m")))
    assert card != merchant
    slots = {card: [card_to, -1], merchant: [merchant_to, -1]}
    return LogPrefix(slots=slots, tail_from=[tail_from], tail_to=[tail_to])


def decision(at_hand, offset, log_prefix, features, *, stale, degraded=False):
    return make_decision(at_hand, (0, offset), log_prefix, features, stale=stale, degraded=degraded)


@pytest.fixture
def run(tmp_path):
    """Write a run folder: an empty history, the clock, and these transactions and decisions."""

    def write(transactions, decisions):
        placed = [((0, offset), item) for offset, item in enumerate(transactions)]
        return write_run(tmp_path, placed, decisions)

    return write


def check(folder):
    return check_parity(folder, folder / "history", SETTINGS, ParityPlan(brute_force=10))


def test_a_vector_that_is_null_beyond_the_horizon_is_as_brute_force_has_it(run):
    early, late = tx(0, 5), tx(1, 2)
    served, is_whole = features_of(late, [early], [early])
    assert not is_whole
    assert np.isnan(served[WINDOWS:]).all()
    result = check(run([early, late], [decision(late, 1, prefix(0, 0, 1, 0), served, stale=True)]))
    assert (result.vectors, result.by_brute_force, result.mismatches) == (1, 1, 0)


def test_a_served_value_where_null_is_right_differs_from_both_recomputations(run):
    early, late = tx(0, 5), tx(1, 2)
    null, _ = features_of(late, [early], [early])
    wrong = np.where(np.arange(len(NAMES)) < WINDOWS, null, 1).astype(np.float32)
    result = check(run([early, late], [decision(late, 1, prefix(0, 0, 1, 0), wrong, stale=True)]))
    assert result.mismatches == 2 * (len(NAMES) - WINDOWS)


def test_a_decision_made_without_state_is_counted_and_compared_with_nothing(run):
    first, second = tx(0, 1), tx(1, 2)
    features = np.full(len(NAMES), np.nan, np.float32)
    nothing = LogPrefix(slots={}, tail_from=[], tail_to=[])
    served, _ = features_of(second, [first], [first])
    result = check(
        run(
            [first, second],
            [
                decision(first, 0, nothing, features, stale=False, degraded=True),
                decision(second, 1, prefix(0, 0, 1, 0), served, stale=False),
            ],
        )
    )
    assert (result.vectors, result.degraded, result.by_brute_force, result.mismatches) == (1, 1, 1, 0)


def test_card_and_merchant_are_each_compared_with_what_their_own_slot_had_folded(run):
    first, second, at_hand = tx(0, 1), tx(1, 2), tx(2, 3)
    served, _ = features_of(at_hand, [first, second], [first])
    assert served[NAMES.index("card_count_1h")] == 3
    assert served[NAMES.index("merchant_count_1h")] == 2
    hole = prefix(1, 0, 2, 1)  # the unfolded log does not reach back to the merchant's watermark
    result = check(run([first, second, at_hand], [decision(at_hand, 2, hole, served, stale=True)]))
    assert (result.by_brute_force, result.mismatches) == (1, 0)


def test_all_entities_of_a_transaction_are_compared_each_as_of_its_own_slot(run):
    first, second, at_hand = (
        Transaction(
            tx_id=f"t{n}", ts=T0 + n * MINUTE, card_id="c", amount_cents=100, merchant_id="m", device_id="d",
            ip="10.0.0.1",
        )
        for n in range(3)
    )  # fmt: skip
    keys = keys_of(at_hand)
    folded_to = {slot_of(*key, SETTINGS.slots): n % 2 for n, key in enumerate(keys)}
    events = {key[0]: [first, second][: folded_to[slot_of(*key, SETTINGS.slots)] + 1] for key in keys}
    states = {entity: folded(entity, entity_events) for entity, entity_events in events.items()}
    served, _ = vector(at_hand, states, HORIZON)
    assert {served[NAMES.index(f"{entity}_count_1h")] for entity in events} == {2, 3}
    hole = LogPrefix(
        slots={str(slot): [to, -1] for slot, to in folded_to.items()}, tail_from=[2], tail_to=[1]
    )
    result = check(run([first, second, at_hand], [decision(at_hand, 2, hole, served, stale=True)]))
    assert (result.vectors, result.by_brute_force, result.mismatches) == (1, 1, 0)


def lagged_prefix(to):
    """What a lagged decision had read of the one partition of transactions; nothing unfolded, no labels."""
    slots = (str(slot_of(*key, SETTINGS.slots)) for key in (("card", "c"), ("merchant", "m")))
    return LogPrefix(slots={slot: [to, -1] for slot in slots}, tail_from=[to + 1], tail_to=[to])


def lagged(decided, lag_ms):
    return structs.replace(decided, features_lag_ms=lag_ms)


def test_with_a_lag_only_what_happened_before_it_counts_and_only_what_had_been_read(run):
    old, late, young, at_hand = tx(0, 1), tx(1, 1.5), tx(2, 9), tx(3, 10)
    log = [old, young, at_hand, late]  # the late one had not been read at the first decision
    seen, all_seen = features_of(at_hand, [old], [old])[0], features_of(at_hand, [old, late], [old, late])[0]
    assert seen[NAMES.index("card_count_1h")] == 2
    decisions = [
        lagged(decision(at_hand, 2, lagged_prefix(2), seen, stale=False), 5 * MINUTE),
        lagged(
            decision(young, 1, lagged_prefix(0), features_of(young, [old], [old])[0], stale=False), MINUTE
        ),
    ]
    result = check(run(log, decisions))
    assert (result.vectors, result.by_brute_force, result.mismatches) == (2, 2, 0)
    assert all_seen[NAMES.index("card_count_1h")] == 3


@pytest.mark.parametrize("lag_ms", [0, MINUTE // 2, 5 * MINUTE])
def test_a_vector_that_has_too_much_or_too_little_for_its_lag_differs(run, lag_ms):
    old, young, at_hand = tx(0, 1), tx(1, 9), tx(2, 10)
    counted = {0: [old, young], MINUTE // 2: [old, young], 5 * MINUTE: [old]}[lag_ms]
    other = [old, young] if counted == [old] else [old]
    wrong, _ = features_of(at_hand, other, other)
    result = check(run([old, young, at_hand], [
        lagged(decision(at_hand, 2, lagged_prefix(1), wrong, stale=False), lag_ms)
    ]))  # fmt: skip
    assert result.by_feature["card_count_1h"] == 2  # by the replay and by brute force
