"""The sender's benchmark: both clients go through the live sender, and the report has the common shape."""

from typing import Any

import pytest

from load_tests.benches.producers.sender import TICKS_MS, bench_sender
from producers.sources.even_source import EvenSource


def test_the_even_source_goes_at_its_rate() -> None:
    items = list(EvenSource(200, 100).items())
    assert len(items) == 100
    assert items[-1].due_ms - items[0].due_ms == 495


@pytest.mark.stack
def test_the_report_compares_both_clients_on_the_same_traffic(stack: Any) -> None:
    report = bench_sender(stack.kafka_bootstrap, [200], [15], seconds=0.5, turns=1)
    assert {"machine", "protocol", "configuration", "results", "ratios"} == report.keys()
    assert {"kafka-python", "confluent-kafka"} <= report["machine"]["versions"].keys()
    assert report["ratios"].keys() == {"kafka-python at 200 tx/s"}
    variants = [(r["sender"], r["tick_ms"]) for r in report["results"]]
    assert variants == list(TICKS_MS.items())
    for result in report["results"]:
        assert result["unit"] == "CPU s per 1,000 records"
        assert result["value"] == result["cpu_s_per_1000_records"] > 0
        assert (result["transactions"], result["records"]) == (100, 100)
        assert 0 <= result["delay_p50_ms"] <= result["delay_p99_ms"]
        assert result["send_call_p99_us"] > 0
