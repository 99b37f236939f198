"""The bulk engine gives, to the bit, what the online path serves transaction by transaction."""

import random

import numpy as np
import pyarrow as pa
import pytest

from fraudsim.log.events import Label, Transaction
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue.features import DAY, HOUR, KEY_FIELD, NAMES, WINDOWED
from stream_features.encode import ROW_OF, label_row
from stream_features.kernels import state
from stream_features.offline.bulk import bulk_features
from stream_features.store.prime import state_of_history
from stream_features.vector import keys_of, vector
from testing.contracts.event_streams import HORIZON, T0, tx


def structs(table, event):
    return [event(**{k: v for k, v in row.items() if v is not None}) for row in table.to_pylist()]


def one_row(row):
    return np.array([row], np.int64)


def online(transactions, labels, horizon=HORIZON):
    """Each transaction's vector from states into which all before it, and no more, has been folded."""
    states, waiting = {}, sorted(labels, key=lambda item: item.known_at, reverse=True)
    vectors = {}
    for tx_now in sorted(transactions, key=lambda t: t.ts):
        while waiting and waiting[-1].known_at < tx_now.ts:
            label = waiting.pop()
            key = ("merchant", label.merchant_id)
            old = states.get(key, state.empty("merchant"))
            rows = one_row(label_row(label))
            states[key] = state.fold("merchant", old, state.NO_ROWS["merchant"], rows, horizon)
        keys = keys_of(tx_now)
        states_by_entity = {key[0]: states.get(key, state.empty(key[0])) for key in keys}
        vectors[tx_now.tx_id], is_whole = vector(tx_now, states_by_entity, horizon)
        assert is_whole
        for key in keys:
            row = one_row(ROW_OF[key[0]](tx_now))
            states[key] = state.fold(key[0], states_by_entity[key[0]], row, state.NO_LABELS, horizon)
    return np.stack([vectors[t.tx_id] for t in transactions]), states


def assert_same_bits(actual, expected):
    differ = (actual.view(np.int32) != expected.view(np.int32)) & ~(np.isnan(actual) & np.isnan(expected))
    assert [NAMES[i] for i in np.flatnonzero(differ.any(axis=0))] == []


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    manifest = write_history(folder, World(WorldConfig(cards=40, seed=11, fraud_scale=10)), 40)
    read = read_history(folder)
    return read.transactions(), read.labels(), manifest.end_ms


def test_a_world_s_features_are_the_same_online_and_in_bulk(history):
    transactions, labels, _ = history
    expected, _ = online(structs(transactions, Transaction), structs(labels, Label))
    assert_same_bits(bulk_features(transactions, labels), expected)


def test_the_order_of_the_table_does_not_matter(history):
    transactions, labels, _ = history
    order = np.random.default_rng(1).permutation(transactions.num_rows)
    assert_same_bits(
        bulk_features(transactions.take(order), labels), bulk_features(transactions, labels)[order]
    )


def test_priming_folds_the_same_bytes_as_one_transaction_after_the_other(history):
    transactions, labels, end_ms = history
    _, states = online(structs(transactions, Transaction), [])
    table = state_of_history(transactions, labels.slice(0, 0), end_ms, HORIZON)
    assert table.keys() == states.keys()
    assert {entity for entity, _ in table} == set(WINDOWED)
    assert [key for key in table if table[key].tobytes() != states[key].tobytes()] == []


@pytest.mark.parametrize(
    "lacking", [("device_id",), ("ip",), ("device_id", "ip", "lat", "lon", "merchant_id")]
)
def test_entities_that_a_source_lacks_are_null_and_change_nothing_else(history, lacking):
    transactions, labels, _ = history
    reduced = transactions.slice(0, 800).drop_columns(list(lacking))
    kept_labels = labels if "merchant_id" not in lacking else None
    expected, states = online(
        structs(reduced, Transaction), structs(kept_labels, Label) if kept_labels else []
    )
    actual = bulk_features(reduced, kept_labels)
    assert_same_bits(actual, expected)
    gone = {entity for entity, field in KEY_FIELD.items() if field in lacking}
    assert not gone & {entity for entity, _ in states if states[entity, _][1] > 0}


def test_equal_instants_and_keys_over_their_bound_are_the_same_too():
    rng = random.Random(4)
    events = [
        tx(
            n, T0 + rng.randrange(3 * HOUR) // 2_000 * 2_000, rng.randrange(5_000), rng.choice("ccck"),
            rng.choice("de"), rng.choice("mn"), "1.2.3.4", lat=48.0 + rng.random(), lon=16.0,
        )
        for n in range(5_000)
    ]  # fmt: skip
    far_tx = tx("far", T0 + 20 * DAY)
    table = pa.Table.from_pylist(
        [
            {
                name: getattr(e, name)
                for name in ("tx_id", "ts", "amount_cents", "lat", "lon", *KEY_FIELD.values())
            }
            for e in [*events, far_tx]
        ]
    )
    expected, _ = online([*events, far_tx], [])
    assert np.isnan(expected[-1, NAMES.index("card_count_30d")])
    assert_same_bits(bulk_features(table), expected)
