"""The reader's benchmark: both contestants read the same counts, and the report has their latencies."""

import pytest

from fraudsim.log.events import Transaction
from load_tests.benches.features import reader as bench_reader
from load_tests.benches.features import sorted_sets


def test_the_aggregates_of_a_sorted_set_include_the_transaction_at_hand():
    def transaction(n):
        return Transaction(tx_id=f"t{n}", ts=n, card_id="c", amount_cents=100 * n, merchant_id=f"m{n}")

    members = [sorted_sets.member_of(transaction(n)).encode() for n in (1, 2)]
    assert sorted_sets.aggregates(members, transaction(3)) == (3, 600, 300, 1, 3)
    assert sorted_sets.aggregates([], transaction(3)) == (1, 300, 300, 1, 1)


@pytest.mark.stack
def test_both_are_read_at_the_rate_and_agree():
    report = bench_reader.bench_reader([50], 0.4, 1, events=1_000, cards=100)
    assert {"machine", "protocol", "configuration", "results", "ratios"} == report.keys()
    assert [result["name"] for result in report["results"]] == list(bench_reader.CONTESTANTS)
    for result in report["results"]:
        assert (result["rate"], result["reads"], result["unit"]) == (50, 20, "ms")
        assert 0 < result["p50_ms"] <= result["p99_ms"] <= result["p999_ms"]
        assert result["cpu_us"] > 0
    assert report["ratios"].keys() == {
        f"redis sorted sets, 50 reads/s, {figure}" for figure in ("p50_ms", "p99_ms", "cpu_us")
    }
