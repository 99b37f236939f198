"""Redis stopped for seconds, then killed and started empty, under stream and HTTP traffic."""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import pytest

from fraudsim.archive.log_files import read_log
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.topics import DECISIONS
from model.artefact.manifest import REQUEST_NAMES
from runner.line.options import LineOptions
from runner.stack.redis_server import redis_answers
from stream_features.catalogue.features import NAMES
from stream_features.offline.history_tables import read_history_tables
from stream_features.store.prime import prime, state_of_history
from testing.rigs.live_line import kill, run_line, wait_for_decisions

pytestmark = pytest.mark.stack
HTTP_RATE = 50
DEADLINE_MS = 200
"""More than the default, as all processes share two cores: only Redis may be the cause of degradation."""
SLOW_S = 2.5
"""Far more than the deadline and the stream's four, and less than Redis is away."""


def get(line, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{line.settings.http_port}{path}", timeout=5) as reply:
        return json.load(reply)


@dataclass
class Client(threading.Thread):
    """Sends requests at a steady rate, and every tenth of them twice."""

    line: object
    statuses: dict[int, int] = field(default_factory=dict)
    replies: list = field(default_factory=list)
    mismatched: list = field(default_factory=list)
    longest_s: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def send(self, body):
        url = f"http://127.0.0.1:{self.line.settings.http_port}/v1/score"
        started = time.monotonic()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as reply:
                status, content = reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            status, content = error.code, None
        self.longest_s = max(self.longest_s, time.monotonic() - started)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        return content

    def run(self):
        n, started = 0, time.monotonic()
        while not self.stop.wait(max(0.0, started + n / HTTP_RATE - time.monotonic())):
            tx = {
                "tx_id": f"http-{n}",
                "card_id": f"c{n % 40}",
                "merchant_id": f"m{n % 7}",
                "amount_cents": 1,
            }
            body = json.dumps(tx).encode()
            reply = self.send(body)
            if reply is not None:
                self.replies.append(reply)
                if n % 10 == 0:
                    repeated = self.send(body)
                    if repeated not in (None, reply):
                        self.mismatched.append((reply, repeated))
            n += 1


def wait_for_readyz(line, status, reason=""):
    line.wait_for(
        f"readyz to say {status} {reason}",
        lambda: (reply := get(line, "/readyz"))["status"] == status and reason in reply.get("reason", ""),
        30,
    )


def prime_again(line):
    """Prime as `fraudsim features prime` does."""
    log = ClockLog(line.settings.kafka_bootstrap, Clock())
    log.refresh()
    segment = log.clock.first
    tables = read_history_tables(line.run_dir / "history")
    table = state_of_history(*tables, segment.event_epoch_ms, segment.horizon_ms)
    prime(line.settings, segment, table, line.history.manifest.fingerprint)


def test_without_redis_the_line_decides_degraded_and_in_time_and_comes_back_by_itself(
    tmp_path, prepared, line_settings, monkeypatch
):
    monkeypatch.setenv("FRAUDSIM_DEADLINE_MS", str(DEADLINE_MS))
    results = {}

    def take_redis_away(line, observer):
        client = Client(line)
        client.start()
        wait_for_decisions(line, observer, 200)
        start = len(client.replies)
        redis = line.supervisor.pid("redis")
        os.kill(redis, signal.SIGSTOP)
        try:
            wait_for_readyz(line, "degraded")
            wait_for_decisions(line, observer, observer.tally.decisions + 300)
        finally:
            os.kill(redis, signal.SIGCONT)
        wait_for_readyz(line, "ready")
        paused, decisions = client.replies[start:], observer.tally.decisions
        wait_for_decisions(line, observer, decisions + 100)

        start = len(client.replies)
        kill(line, "redis")
        line.wait_for("Redis to answer", lambda: redis_answers(line.settings.redis_url))
        wait_for_readyz(line, "degraded", "not primed")  # it came back empty
        prime_again(line)
        wait_for_readyz(line, "ready")
        killed, end = client.replies[start:], len(client.replies)
        wait_for_decisions(line, observer, observer.tally.decisions + 200)
        client.stop.set()
        client.join(30)
        results.update(client=client, paused=paused, killed=killed, after=client.replies[end + 5 :])

    options = LineOptions(tmp_path / "run", seconds=20, rate=100, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, take_redis_away)
    client = results["client"]
    assert set(client.statuses) <= {200, 503}, client.statuses
    assert client.statuses.get(503, 0) <= 0.02 * client.statuses[200], client.statuses
    assert client.longest_s < SLOW_S
    assert client.mismatched == []
    for replies in (results["paused"], results["killed"]):
        degraded = [reply for reply in replies if reply["degraded"]]
        assert len(degraded) > 20
        by_name = [dict(zip(NAMES, reply["features"], strict=True)) for reply in degraded]
        assert all({row[name] for name in NAMES if name not in REQUEST_NAMES} == {None} for row in by_name)
        assert {reply["variant"] for reply in degraded} == {"fallback"}
    assert len(results["after"]) > 20
    assert not any(reply["degraded"] for reply in results["after"])
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    assert summary["restarts"] == {"redis": 1}
    parity = summary["parity"]
    assert parity["mismatches"] == 0
    assert parity["degraded"] == summary["flags"]["degraded"] > 300
    assert parity["vectors"] + parity["degraded"] + parity["uncertain"] == summary["decided"]
    stamps = read_log(tmp_path / "run", DECISIONS, ["via", "degraded", "stamp_received", "stamp_decided"])
    stream_rows = [row for row in stamps.to_pylist() if row["via"] == "stream"]
    assert any(row["degraded"] for row in stream_rows)
    assert max(row["stamp_decided"] - row["stamp_received"] for row in stream_rows) < SLOW_S * 1e6
