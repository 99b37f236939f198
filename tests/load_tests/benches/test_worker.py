"""The long benchmarks of folding, made short: they run to their end, and their checks notice errors."""

import pytest

from fraudsim.errors import InvariantError
from load_tests.benches.worker.catch_up import bench_catch_up
from load_tests.benches.worker.soak import bench_soak
from load_tests.benches.worker.worker_rig import WorkerRig

pytest.importorskip("confluent_kafka", reason="needs the extra load")
pytestmark = [pytest.mark.stack, pytest.mark.long]


def test_a_soak_folds_all_that_it_sends():
    report = bench_soak(rate=200, seconds=6)
    worker = report["results"][0]
    assert (worker["folded"], worker["states_equal"]) == (1200, 200)
    assert worker["staleness_ms"]["max"] >= worker["staleness_ms"]["p99"] > 0
    assert worker["memory_mib"]["most"] > 20


def test_a_slot_that_was_put_back_is_caught_up_and_a_wrong_state_is_noticed(monkeypatch):
    report = bench_catch_up(behind=3000, rate=200, longest_s=60)
    staleness, catching_up = report["results"]
    assert 0 < staleness["p50"] <= staleness["value"] <= staleness["max"]
    assert catching_up["states_equal"] == 200

    check = WorkerRig.check_state

    def spoiled(rig, source, keys):
        key = next(key for key in rig.redis.scan_iter("*:card:*"))
        rig.redis.setrange(key, rig.redis.strlen(key) - 32, b"\1")  # an amount
        return check(rig, source, 10**6)

    monkeypatch.setattr(WorkerRig, "check_state", spoiled)
    with pytest.raises(InvariantError, match="the state of card card-"):
        bench_soak(rate=200, seconds=1)
