"""Scripted changes of a simulated traffic: as a live script makes them, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from producers.history.reader import read_history
from producers.scenario.schema import Drift, Script
from producers.scenario.scripted_source import ScriptedSource
from producers.sources.source import Item
from producers.world.world import World
from simulator.line.drifted_traffic import BrokenFeed, DriftedTraffic, OtherFraud
from simulator.line.traffic import traffic_of
from stream_features.catalogue.features import DAY

DAYS = 6


@pytest.fixture(scope="module")
def plain(history):
    return traffic_of(read_history(history), DAYS)


def drifted(plain, **changes):
    traffic = DriftedTraffic(**vars(plain), **changes)
    return list(traffic.stretches())


def amounts(stretches):
    return np.concatenate([stretch.transactions["amount_cents"].to_numpy() for stretch in stretches])


class _Recorded:
    """A live source that yields the transactions of a simulated traffic."""

    name = "recorded"

    def __init__(self, traffic):
        self.start_ms, self._traffic = traffic.start_ms, traffic

    def items(self):
        for stretch in self._traffic.stretches():
            for row in range(len(stretch)):
                tx = stretch.transaction(row)
                yield Item(tx.ts, "transactions", tx.card_id, tx)


@pytest.mark.parametrize("kind", ["sudden", "gradual", "seasonal"])
@pytest.mark.parametrize("category", [None, "grocery"])
def test_amounts_drift_as_on_a_live_stream(plain, kind, category):
    drift = Drift(kind=kind, from_="1d", until="4d", amounts=1.7, category=category)
    source = ScriptedSource(_Recorded(plain), Script(version=1, events=[drift]), speed=1.0)
    live = [item.event.amount_cents for item in source.items()]
    assert (amounts(drifted(plain, drifts=(drift,))) == live).all()
    assert (np.array(live) != amounts(list(plain.stretches()))).any()


def test_labels_follow_a_drift_of_all_amounts(plain):
    drift = Drift(kind="sudden", from_="0d", until="9d", amounts=2.0)
    for stretch in drifted(plain, drifts=(drift,)):
        amount_of = dict(
            zip(
                stretch.transactions["tx_id"].to_pylist(),
                stretch.transactions["amount_cents"].to_pylist(),
                strict=True,
            )
        )
        for label in stretch.events():
            assert label.amount_cents == amount_of[label.tx_id]


def test_a_broken_feed_loses_a_field_from_its_day_on(plain):
    (stretch,) = drifted(plain, feeds=(BrokenFeed("device_id", 3, 0.5),))
    (whole,) = plain.stretches()
    ts = stretch.transactions["ts"].to_numpy() - plain.start_ms
    lost = np.array([value is None for value in stretch.transactions["device_id"].to_pylist()])
    absent = np.array([value is None for value in whole.transactions["device_id"].to_pylist()])
    assert (lost[ts < 3 * DAY] == absent[ts < 3 * DAY]).all()
    after = (ts >= 3 * DAY) & ~absent
    assert 0.4 < lost[after].mean() < 0.6
    assert stretch.transactions.drop_columns("device_id") == whole.transactions.drop_columns("device_id")


def test_other_fraud_leaves_the_honest_alone(plain):
    other = World(replace(plain.world.config, fraud_scale=20.0))
    before, after = drifted(plain, other_fraud=OtherFraud(2, other))
    whole = next(iter(plain.stretches()))
    ts = whole.transactions["ts"].to_numpy() - plain.start_ms
    assert amounts([before]).tolist() == amounts([whole])[ts < 2 * DAY].tolist()

    def honest(stretch, rows):
        keys = zip(*(stretch.transactions[name].to_pylist() for name in ("ts", "card_id")), strict=True)
        return {
            key for key, fraud, row in zip(keys, stretch.is_fraud, rows, strict=True) if row and not fraud
        }

    assert honest(after, np.ones(len(after), bool)) == honest(whole, ts >= 2 * DAY)
    assert after.is_fraud.sum() > whole.is_fraud[ts >= 2 * DAY].sum()
