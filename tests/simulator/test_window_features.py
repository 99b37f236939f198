"""Vectors of regimes that no log prefix expresses, against sums over plain lists."""

import numpy as np
import pytest

from producers.history.reader import read_history
from simulator.features.window_features import live_columns
from simulator.regimes import regime_of
from simulator.training import features_under
from stream_features.catalogue.features import DAY, FEATURES, HOUR, NAMES

COUNTS = [
    f
    for f in FEATURES
    if f.aggregate in ("count", "sum") and f.entity in ("card", "device", "merchant", "ip")
]
FIELD = {"card": "card_id", "device": "device_id", "merchant": "merchant_id", "ip": "ip"}


@pytest.fixture(scope="module")
def tables(history):
    opened = read_history(history)
    transactions = opened.transactions()
    kept = transactions["ts"].to_numpy() < opened.manifest.start_ms + 4 * DAY
    return transactions.filter(kept), opened.labels()


def column(vectors, name):
    return vectors[:, NAMES.index(name)]


def test_a_tumbling_window_begins_at_the_last_multiple_of_its_length(tables):
    transactions, labels = tables
    vectors = features_under(regime_of("tumbling"), transactions, labels)
    ts, amount = transactions["ts"].to_numpy(), transactions["amount_cents"].to_numpy()
    for feature in COUNTS:
        keys = np.array(transactions[FIELD[feature.entity]].to_pylist(), dtype=object)
        for row in range(len(ts) - 1, 0, -97):
            if keys[row] is None:
                continue
            begin = ts[row] // feature.window_ms * feature.window_ms
            end = ts[row] // feature.head_ms * feature.head_ms
            rows = (keys == keys[row]) & (ts >= begin) & (ts < end)
            expected = rows.sum() + 1 if feature.aggregate == "count" else amount[rows].sum() + amount[row]
            assert column(vectors, feature.name)[row] == np.float32(expected), feature.name


def test_a_hopping_window_ends_at_the_last_hop(tables):
    transactions, labels = tables
    vectors = features_under(regime_of("hopping", period_ms=HOUR), transactions, labels)
    ts = transactions["ts"].to_numpy()
    keys = np.array(transactions["card_id"].to_pylist(), dtype=object)
    for row in range(len(ts) - 1, 0, -53):
        hop = ts[row] // HOUR * HOUR
        expected = ((keys == keys[row]) & (ts >= hop - DAY) & (ts < hop)).sum() + 1
        assert column(vectors, "card_count_24h")[row] == expected


def test_a_hybrid_has_short_windows_live_and_long_ones_from_the_night(tables):
    transactions, labels = tables
    hybrid = features_under(regime_of("hybrid"), transactions, labels)
    live = features_under(regime_of("real-time"), transactions, labels)
    night = features_under(regime_of("nightly"), transactions, labels)
    short = live_columns(DAY)
    assert np.array_equal(hybrid[:, short], live[:, short], equal_nan=True)
    others = np.setdiff1d(np.arange(len(NAMES)), short)
    assert np.array_equal(hybrid[:, others], night[:, others], equal_nan=True)
    assert not np.array_equal(live[:, others], night[:, others], equal_nan=True)
