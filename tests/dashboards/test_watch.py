"""The metrics of `watch` for single records."""

import msgspec
import pytest

from dashboards import money_metrics as module
from dashboards.money_metrics import MoneyMetrics
from dashboards.watch_metrics import WatchMetrics
from fraudsim.log.events import Truth, encoder
from fraudsim.log.topics import DECISIONS, LABELS, TRUTH
from fraudsim.metrics import registry
from producers.labels.consequences import Consequences
from testing.samples.log import T0


def value(name, **labels):
    return registry.get_sample_value(name, labels) or 0.0


def decision(offset, **changes):
    fields = {
        "tx_id": f"t{offset}", "action": "approve", "amount_cents": 100, "source_offset": offset,
        "score": 0.1, "features": [], "probability": 0.02, "ts": T0 + offset, "card_id": "c",
    }  # fmt: skip
    return msgspec.json.encode({**fields, **changes})


def named(tx_id, typology):
    return encoder.encode(Truth(tx_id=tx_id, is_fraud=True, typology=typology))


@pytest.fixture
def watch_metrics():
    return WatchMetrics(wait_s=1, reference=100, money=MoneyMetrics(Consequences(), 7, 1_000))


def test_a_repeated_decision_and_one_by_http_count_nothing(watch_metrics):
    for offset, changes in ((0, {}), (1, {"via": "http"}), (0, {"tx_id": "again"}), (2, {})):
        watch_metrics.add_record(DECISIONS, 0, decision(offset, **changes), 0)
    watch_metrics.add_record(DECISIONS, 1, decision(0, tx_id="elsewhere"), 0)
    watch_metrics.count_due(10)
    assert (watch_metrics.outcome_counts, watch_metrics.first.repeated) == ({"honest": 3}, 1)


def test_a_truth_that_names_no_fraud_names_nothing(watch_metrics):
    watch_metrics.add_record(DECISIONS, 0, decision(0), 0)
    watch_metrics.add_record(TRUTH, 0, encoder.encode(Truth(tx_id="t0", is_fraud=False)), 0)
    watch_metrics.count_due(10)
    assert watch_metrics.outcome_counts == {"honest": 1}


@pytest.mark.parametrize("topic", [DECISIONS, TRUTH, LABELS])
def test_what_cannot_be_read_is_counted_and_survived(watch_metrics, topic):
    before = value("fraudsim_watch_unreadable_total", topic=topic)
    for bad in (b"{", b"", None, b"\xff", b"[]", b'{"tx_id": 1}'):
        watch_metrics.add_record(topic, 0, bad, 0)
    assert value("fraudsim_watch_unreadable_total", topic=topic) == before + 6
    watch_metrics.add_record(DECISIONS, 0, decision(0), 0)
    watch_metrics.count_due(10)
    assert watch_metrics.outcome_counts == {"honest": 1}


@pytest.mark.parametrize(
    ("probability", "bucket"), [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.003"), (1.0, "1.0")]
)
def test_a_decision_is_in_the_bucket_of_its_probability(watch_metrics, probability, bucket):
    names = [f"fraudsim_calibration_{part}_total" for part in ("decisions", "probability", "frauds")]
    before = [value(name, bucket=bucket) for name in names]
    watch_metrics.add_record(DECISIONS, 0, decision(0, probability=probability), 0)
    watch_metrics.add_record(TRUTH, 0, named("t0", "bin_attack"), 0)
    watch_metrics.count_due(10)
    increases = [value(name, bucket=bucket) - old for name, old in zip(names, before, strict=True)]
    assert increases == pytest.approx([1, probability, 1])


def test_names_of_typologies_do_not_grow_without_end(watch_metrics, monkeypatch):
    monkeypatch.setattr(module, "MAX_TYPOLOGIES", 15)
    before = value("fraudsim_fraud_transactions_total", typology="other", outcome="paid")
    for offset in range(6):
        watch_metrics.add_record(DECISIONS, 0, decision(offset), 0)
        watch_metrics.add_record(TRUTH, 0, named(f"t{offset}", f"new {offset}"), 0)
    watch_metrics.count_due(10)
    assert value("fraudsim_fraud_transactions_total", typology="other", outcome="paid") == before + 4
