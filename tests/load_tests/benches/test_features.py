"""The features' benchmark: contestants run on one log, and results that differ from brute force end it."""

import json

import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError, InvariantError
from fraudsim.log.events import Transaction
from load_tests.benches.features import bench as bench_features
from load_tests.benches.features import checks as feature_checks
from load_tests.benches.features.contestants import CONTESTANTS, EXTRA, python_of
from load_tests.benches.features.traffic import make_traffic
from load_tests.cli import app

CARDS = {
    "c": [
        Transaction(tx_id=f"t{n}", ts=ts, card_id="c", amount_cents=100 * (n + 1))
        for n, ts in enumerate((0, 1_000, 5_000))
    ]
}


def installed(name):
    return next(python_of(contestant) for contestant in CONTESTANTS if contestant.name == name).exists()


def test_the_traffic_is_the_first_of_the_world_by_time():
    traffic = make_traffic(500, 100)
    assert len(traffic.transactions) == 500
    times = [tx.ts for tx in traffic.transactions]
    assert times == sorted(times)
    busiest, *_ = traffic.cards()
    transactions = traffic.by_card([busiest])[busiest]
    assert len(transactions) == max(
        sum(tx.card_id == card for tx in traffic.transactions) for card in traffic.cards()
    )


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (feature_checks.check_records, {"records": {"c": 3}}, {"records": {"c": 4}}),
        (feature_checks.check_records, {"records": {"c": 3}}, {"records": {"c": 0}}),
        (feature_checks.check_values, {"values": [("t1", {"count": 2})]}, {"values": [("t1", {"count": 3})]}),
        (feature_checks.check_values, {"values": [("t1", {"count": 2})]}, {"values": []}),
        (
            feature_checks.check_sliding,
            {
                "sliding": {
                    "c": [{"window_ms": 2_000, "count": 1}, {"window_ms": 2_000, "count": 2, "sum": 300}]
                }
            },
            {
                "sliding": {
                    "c": [{"window_ms": 2_000, "count": 1}, {"window_ms": 2_000, "count": 2, "sum": 200}]
                }
            },
        ),
        (
            feature_checks.check_sliding,
            {"sliding": {"c": [{"window_ms": 9, "max": 100}]}},
            {"sliding": {"c": []}},
        ),
    ],
)
def test_a_rival_with_other_results_is_refused(check, right, wrong):
    check("rival", right, CARDS)
    with pytest.raises(InvariantError, match="bench features: rival: "):
        check("rival", wrong, CARDS)


def test_windows_are_compared_with_brute_force():
    def seen(windows):
        return {"records": {"c": 2}, "windows": {"c": windows}}

    feature_checks.check_windows("rival", seen({"0": 2, "1000": 1}), CARDS, 3_000)
    for wrong in ({"0": 3}, {}):
        with pytest.raises(InvariantError):
            feature_checks.check_windows("rival", seen(wrong), CARDS, 3_000)


def test_an_unknown_name_is_refused():
    with pytest.raises(FraudsimError, match="--only 'flink' is none of 'fraudsim', "):
        bench_features.bench_features(only=["flink"])


def test_a_rival_that_is_not_installed_is_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(
        bench_features,
        "python_of",
        lambda contestant: tmp_path / "none" if contestant.extra else python_of(contestant),
    )
    with pytest.raises(FraudsimError, match=f"bytewax not installed: run `make setup-{EXTRA}`"):
        bench_features.bench_features(only=["bytewax"])


def run(tmp_path, events, *only):
    out = tmp_path / "features.json"
    options = [word for name in only for word in ("--only", name)]
    outcome = CliRunner().invoke(
        app, ["bench", "features", "--json", str(out), "--events", str(events), "--turns", "1", *options]
    )
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    report = json.loads(out.read_bytes())
    assert {"machine", "protocol", "configuration", "results", "ratios"} <= report.keys()
    for result in report["results"]:
        assert result["unit"] == "transactions/s"
        assert result["value"] > 0
        assert result["cpu_us"] > 0
        assert result["peak_mb"] > 10
    assert [result["name"] for result in report["results"]] == list(only)
    return report


@pytest.mark.stack
@pytest.mark.long
def test_ours_and_sorted_sets_fold_the_same_log(tmp_path):
    report = run(tmp_path, 2_000, "fraudsim", "aiokafka discard", "redis sorted sets")
    assert report["ratios"].keys() == {"aiokafka discard", "redis sorted sets"}
    ours, discard, sorted_sets = report["results"]
    assert (ours["events"], discard["events"], sorted_sets["events"]) == (2_000, 2_000, 200)
    assert ours["redis_bytes_per_card"] > 0
    assert sorted_sets["redis_bytes_per_card"] > 0
    assert "redis_bytes_per_card" not in discard


@pytest.mark.long
@pytest.mark.stack
@pytest.mark.parametrize("name", [contestant.name for contestant in CONTESTANTS])
def test_each_contestant_does_what_it_says(tmp_path, name):
    if not installed(name):
        pytest.skip(f"{name} is not installed: make setup-{EXTRA}")
    run(tmp_path, 2_000, name)
