"""The stream scorer's benchmark, made short: every contestant answers all, and a wrong score is noticed."""

import pytest

from fraudsim.errors import FraudsimError, InvariantError
from load_tests.benches.stream import checks as stream_checks
from load_tests.benches.stream.bench import bench_stream
from load_tests.benches.stream.fast_forward import MODES, bench_simulator

pytest.importorskip("confluent_kafka", reason="needs the extra load")
pytestmark = [pytest.mark.stack, pytest.mark.long]


def test_all_answer_each_transaction_once_and_a_score_that_is_not_the_model_s_is_noticed(monkeypatch):
    lines = []
    report = bench_stream(1_000, 1, say=lines.append, cards=600)
    ours, *rivals = report["results"]
    assert len(lines) == 1 + len(rivals) == 3
    assert all(result["value"] > 0 < result["cpu_us"] for result in (ours, *rivals))
    assert set(report["ratios"]) == {result["name"] for result in rivals}

    def spoiled(decisions, model):
        decisions[0].features[0] = 1e9
        return check(decisions, model)

    check = stream_checks._check_scores
    monkeypatch.setattr(stream_checks, "_check_scores", spoiled)
    with pytest.raises(InvariantError, match="the model's is"):
        bench_stream(300, 1, ["fraudsim"], cards=600)


def test_an_unknown_contestant_is_named():
    with pytest.raises(FraudsimError, match=r"--only flink: there are fraudsim, aiokafka\+xgboost"):
        bench_stream(300, 1, ["flink"])


def test_the_fast_forward_is_measured_beside_the_live_scorer():
    report = bench_simulator(600, 2, 1, cards=600)
    live, *modes = report["results"]
    assert [result["name"] for result in modes] == list(MODES)
    assert live["decisions"] == 600
    assert all(result["value"] > 0 < result["cpu_us"] for result in report["results"])
    assert modes[0]["decisions"] == modes[1]["decisions"] > 1000
    assert set(report["ratios"]) == set(MODES)
