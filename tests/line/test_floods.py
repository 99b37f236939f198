"""Floods of requests and connections, and a full Redis: nothing ends, and everything valid is decided.

The limits of memory are compose's: Redis has its `maxmemory`, and the most that each process had resident is
compared with its `mem_limit`.
"""

import resource
import sys
from collections import Counter

import pytest
from redis import Redis

from fraudsim.archive.log_files import read_log
from fraudsim.log.topics import DECISIONS
from runner.line.options import LineOptions
from scorer.http.protocol import MAX_CONNECTIONS, RESERVED_CONNECTIONS
from testing.rigs.floods import (
    alert_share,
    compose_limits,
    compose_maxmemory,
    connection_flood,
    files_for,
    metric,
    peak_bytes,
    replies_in_redis,
    request_flood,
)
from testing.rigs.live_line import ask_scorer, check_state_equals_log, run_line, wait_for_decisions

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc"),
]
TOO_MANY = MAX_CONNECTIONS + RESERVED_CONNECTIONS + 200
USED, LIMIT = "fraudsim_redis_memory_bytes", "fraudsim_redis_max_memory_bytes"
REFUSED = "fraudsim_redis_full_writes_total"


def memory_share(line):
    """What the expression of RedisMemoryHigh computes."""
    limit = metric(line, "worker", LIMIT)
    return metric(line, "worker", USED) / limit if limit else 0.0


def score_once(line, tx_id):
    return ask_scorer(line, {"tx_id": tx_id, "card_id": tx_id, "amount_cents": 1}, timeout_s=60)[0]


def require_files(connections):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files_for(connections):
        pytest.skip(f"{files_for(connections)} open files are needed, and {hard} are allowed (ulimit -Hn)")


def check_decided_once(run_dir, accepted):
    """Assert that each accepted transaction has one decision."""
    rows = read_log(run_dir, DECISIONS, ["tx_id", "via"]).to_pylist()
    counts = Counter(row["tx_id"] for row in rows if row["via"] == "http")
    assert {tx_id: counts[tx_id] for tx_id in accepted} == dict.fromkeys(accepted, 1)


def check_summary(summary):
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    assert summary["restarts"] == {}
    assert summary["parity"]["mismatches"] == 0


def fill_redis(line, observer, requests):
    """A Redis that is full costs kept replies and no decision, and recovers by itself; what was accepted."""
    with Redis.from_url(line.settings.redis_url) as redis:
        wait_for_decisions(line, observer, 100)
        used = redis.info("memory")["used_memory"]
        redis.config_set("maxmemory", round(used / (alert_share("RedisMemoryHigh") + 0.1)))
        line.wait_for(
            "the condition of RedisMemoryHigh", lambda: memory_share(line) > alert_share("RedisMemoryHigh")
        )
        redis.config_set("maxmemory", used + 100_000)
        accepted = request_flood(line, "full", requests)[0]
        assert len(accepted) == requests
        line.wait_for("the condition of RedisFull", lambda: metric(line, "worker", REFUSED) > 0)
        assert "redis_full" in (line.run_dir / "logs" / "worker.log").read_text()
        failures = "fraudsim_redis_failures_total"
        assert metric(line, "scorer", failures, name="claims", reason="full") > 0
        assert metric(line, "scorer", "fraudsim_http_replies_not_shared_total") > 0
        body = {"tx_id": "again", "card_id": "again", "amount_cents": 1}
        first = ask_scorer(line, body)
        assert (first[0], ask_scorer(line, body)) == (200, first)  # kept by this process
        wait_for_decisions(line, observer, observer.tally.decisions + 100)
        redis.config_set("maxmemory", 0)
    return {*accepted, "again"}


def flood_requests(line, requests, replies_bytes):
    """Requests by the thousand are all accepted, and their kept replies stay within their bound."""
    with Redis.from_url(line.settings.redis_url) as redis:
        redis.config_set("maxmemory", compose_maxmemory())
        accepted, refused = request_flood(line, "flood", requests)
        assert (len(accepted), refused.keys() <= {0, 503}) == (requests, True), refused
        assert 1_650 * requests > 5 * replies_bytes, "many times as much was written"
        line.wait_for(
            "kept replies within their bound", lambda: replies_in_redis(redis) <= 1.25 * replies_bytes
        )
        line.wait_for("the limit of Redis", lambda: metric(line, "worker", LIMIT) == compose_maxmemory())
        assert 0 < memory_share(line) < alert_share("RedisMemoryHigh")
    return accepted


def flood_connections(line, observer, connections, tx_id):
    """More connections than are allowed: the stream goes on, and others are served after a while."""
    with connection_flood(line, connections):
        for _ in range(5):
            assert ask_scorer(line, None, "/healthz", 60)[0] == 200
            assert metric(line, "scorer", "fraudsim_heartbeat_timestamp_seconds") > 0
        wait_for_decisions(line, observer, observer.tally.decisions + 100)
        # Who waits without asking is closed, and others are served again while the rest holds on.
        line.wait_for("a request to be decided", lambda: score_once(line, tx_id) == 200, 90)
    return tx_id


@pytest.mark.parametrize(
    ("seconds", "full", "requests", "replies_bytes", "connections", "times"),
    [
        (50, 1_500, 6_000, 2**20, TOO_MANY, 1),
        pytest.param(420, 15_000, 30_000, 4 * 2**20, 3 * TOO_MANY, 3, marks=pytest.mark.long),
    ],
)
def test_a_full_redis_and_floods_end_nothing_and_stay_within_compose_s_memory(
    tmp_path,
    prepared,
    line_settings,
    monkeypatch,
    seconds,
    full,
    requests,
    replies_bytes,
    connections,
    times,
):
    require_files(connections)
    monkeypatch.setenv("FRAUDSIM_HTTP_REPLIES_MAX_BYTES", str(replies_bytes))
    accepted, peaks = set(), {}

    def flood(line, observer):
        accepted.update(fill_redis(line, observer, full))
        accepted.update(flood_requests(line, requests, replies_bytes))
        accepted.update(
            flood_connections(line, observer, connections, f"after-{number}") for number in range(times)
        )
        peaks.update(peak_bytes(line))

    options = LineOptions(tmp_path / "run", seconds=seconds, rate=100, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, flood, before_close=check_state_equals_log)
    check_summary(summary)
    check_decided_once(tmp_path / "run", accepted)
    assert "redis_away" not in (tmp_path / "run" / "logs" / "worker.log").read_text()
    limits = compose_limits()
    print({name: f"{peak >> 20} of {limits[name] >> 20} MiB" for name, peak in peaks.items()})
    assert peaks.keys() >= {"kafka", "redis", "worker", "scorer", "archiver"}
    assert {name: peak for name, peak in peaks.items() if peak > limits[name]} == {}
