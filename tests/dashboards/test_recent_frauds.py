"""Recent fraud by labels against what will be known in the end."""

import math

import msgspec
import numpy as np
import pytest

from dashboards.money_metrics import MoneyMetrics
from dashboards.recent_frauds import HOUR, RecentFrauds
from dashboards.watch_metrics import WatchMetrics
from fraudsim.log.events import Label, encoder
from fraudsim.log.topics import DECISIONS, LABELS
from fraudsim.metrics import registry
from model.training.maturity import MaturityCurve
from producers.labels.consequences import Consequences
from stream_features.catalogue.features import DAY
from testing.samples.log import T0

START = T0 // DAY * DAY
TEN_DAYS = MaturityCurve(np.linspace(0.1, 1.0, 10), 500)
"""Delays are spread evenly over ten days."""


def label(number, ts, known_at, is_fraud=True, source="customer"):
    return Label(
        tx_id=f"t{number}", card_id="c", merchant_id="m", ts=ts, amount_cents=1, is_fraud=is_fraud,
        source=source, known_at=known_at,
    )  # fmt: skip


def fill(recent, days, now_ms, rng, fraud_rate=0.05, an_hour=30):
    """Steady fraud, of which the labels known by now are there."""
    for hour in range(days * 24):
        for number in range(an_hour):
            ts = START + hour * HOUR + number * HOUR // an_hour
            recent.add_payment(ts)
            if rng.random() < fraud_rate:
                known_at = ts + int(rng.uniform(0, 10) * DAY)
                if known_at < now_ms:
                    recent.add_label(label(f"{hour}-{number}", ts, known_at))


def test_the_mature_rate_is_the_true_one_where_the_known_one_is_too_low():
    recent = RecentFrauds(TEN_DAYS)
    fill(recent, 40, START + 40 * DAY, np.random.default_rng(3))
    one, week, month = recent.rates()
    assert [found.rate.transactions for found in (one, week, month)] == [720, 7 * 720, 30 * 720]
    assert one.is_immature
    assert math.isnan(one.mature_rate)
    assert one.rate.known_share == pytest.approx(0.05, abs=0.01)
    assert week.rate.known_share == pytest.approx(0.35, abs=0.02)
    assert week.rate.known_rate < 0.03
    assert week.mature_rate == pytest.approx(0.05, rel=0.2)
    assert month.mature_rate == pytest.approx(0.05, rel=0.1)


def test_without_a_curve_everything_is_immature():
    recent = RecentFrauds(None)
    fill(recent, 3, START + 3 * DAY, np.random.default_rng(4))
    assert all(found.is_immature for found in recent.rates())


def test_the_label_known_last_applies_in_any_order_and_others_payments_do_not_count():
    for order in (1, -1):
        recent = RecentFrauds(TEN_DAYS)
        recent.add_payment(START)
        labels = [label(1, START, START + 5), label(1, START, START + 9, is_fraud=False, source="analyst")]
        for one in labels[::order]:
            recent.add_label(one)
        recent.add_label(label(1, START, START + 5))
        recent.add_label(label(2, START - 5 * DAY, START))  # of a payment from before
        assert [found.rate.known_frauds for found in recent.rates()] == [0, 0, 0]


def test_hours_that_no_window_reaches_are_forgotten():
    recent = RecentFrauds(TEN_DAYS)
    for hour in range(200 * 24):
        recent.add_payment(START + hour * HOUR)
    assert len(recent._payments) <= 2 * 30 * 24
    assert recent.rates()[2].rate.transactions == 30 * 24


def test_watch_exports_the_rates_of_decisions_and_labels():
    watch_metrics = WatchMetrics(1, 100, MoneyMetrics(Consequences(), 7, 100), TEN_DAYS)
    for offset in range(10):
        ts = START + offset * DAY
        record = {
            "tx_id": f"t{offset}", "action": "approve", "amount_cents": 100, "source_offset": offset,
            "score": 0.1, "features": [], "probability": 0.02, "ts": ts, "card_id": "c",
        }  # fmt: skip
        watch_metrics.add_record(DECISIONS, 0, msgspec.json.encode(record), 0)
    watch_metrics.add_record(LABELS, 0, encoder.encode(label(0, START, START + DAY)), 0)
    watch_metrics.export_recent_frauds()

    def rate(days, labels):
        return registry.get_sample_value("fraudsim_recent_fraud_rate", {"days": days, "labels": labels})

    share = registry.get_sample_value("fraudsim_recent_fraud_known_share", {"days": "30"})
    assert rate("30", "known") == 0.1
    assert rate("30", "mature") == pytest.approx(0.1 / share)
    assert math.isnan(rate("1", "mature"))
