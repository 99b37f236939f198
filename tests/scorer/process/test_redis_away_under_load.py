"""Redis stopped for ten seconds, then killed and started empty, under 500 requests a second."""

import os
import signal
import time
from collections import Counter

import pytest
from redis import Redis

from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import encoder
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from model.training.train import train_model
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from runner.stack.redis_server import redis_answers
from stream_features.store.prime import prime
from testing.rigs.live_scorer import ask, decisions_in_log, live_scorer
from testing.rigs.open_loop import OpenLoop

pytestmark = [pytest.mark.stack, pytest.mark.long]
RATE = 500
AWAY_S = 10
QUIET_S = 3
SHEDDING = 0.02
"""Share of requests that may be turned away with 503."""


def body(n):
    tx = {
        "tx_id": f"away-{n}",
        "card_id": f"c{n % 1_000}",
        "merchant_id": f"m{n % 50}",
        "amount_cents": 1_000,
    }
    return encoder.encode(tx)


def prime_again(line):
    log = ClockLog(line.kafka_bootstrap, Clock())
    log.refresh()
    prime(line, log.clock.first, {}, "")


def test_redis_away_under_load_costs_detection_and_no_request(tmp_path):
    write_history(tmp_path / "history", World(WorldConfig(cards=600, seed=7, fraud_scale=6)), 40)
    train_model(tmp_path / "history", tmp_path / "model", Settings(_env_file=None))
    with live_scorer(tmp_path, model_dir=tmp_path / "model") as line:

        def until(status):
            assert poll_until(lambda: ask(line, "/readyz")["status"] == status, 30), status

        pid = Redis.from_url(line.redis_url).info("server")["process_id"]
        http = OpenLoop(line.http_port, "/v1/score", RATE, body)
        http.start()
        time.sleep(QUIET_S)
        stopped = http.sent
        os.kill(pid, signal.SIGSTOP)
        try:
            until("degraded")
            time.sleep(AWAY_S)
        finally:
            os.kill(pid, signal.SIGCONT)
        until("ready")
        back = http.sent
        time.sleep(QUIET_S)
        killed = http.sent
        os.kill(pid, signal.SIGKILL)
        until("degraded")
        assert poll_until(lambda: redis_answers(line.redis_url), 30)
        prime_again(line)
        until("ready")
        primed = http.sent
        time.sleep(QUIET_S)
        http.end()
        deadline_ms = line.deadline_ms
        served = ask(line, "/v1/model")
        decisions = decisions_in_log(line, sum(status == 200 for _, status, _, _ in http.replies))

    assert http.failures == []
    statuses = Counter(status for _, status, _, _ in http.replies)
    assert set(statuses) <= {200, 503}
    assert statuses[503] <= SHEDDING * http.sent
    by_number = {n: reply for n, status, reply, _ in http.replies if status == 200}
    assert sorted(decision.tx_id for decision in decisions) == sorted(
        reply["tx_id"] for reply in by_number.values()
    )

    def degraded(first, end):
        flags = [by_number[n]["degraded"] for n in range(first, end) if n in by_number]
        return sum(flags) / len(flags)

    shares = {
        "before": degraded(0, stopped),
        "paused": degraded(stopped, back),
        "between": degraded(back + RATE, killed),
        "killed": degraded(killed, primed),
        "after": degraded(primed + RATE, http.sent),
    }
    assert shares["paused"] > 0.8
    assert shares["killed"] > 0.1
    assert max(shares["before"], shares["between"], shares["after"]) < 0.05
    latencies_ms = sorted(
        (r["stamps"]["decided"] - r["stamps"]["received"]) / 1e3 for r in by_number.values()
    )
    p99_ms = latencies_ms[int(0.99 * len(latencies_ms))]
    full_precision, fallback_precision = (
        served[name]["average_precision"] for name in ("metrics", "fallback_metrics")
    )
    print(
        f"\n{RATE}/s: {http.sent:,} requests, {statuses[503]} turned away, degraded "
        + ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        + f"; p50 {latencies_ms[len(latencies_ms) // 2]:.1f}, p99 {p99_ms:.1f} ms of {deadline_ms}; "
        f"average precision {full_precision:.3f} with state, {fallback_precision:.3f} without"
    )
    assert p99_ms < deadline_ms
