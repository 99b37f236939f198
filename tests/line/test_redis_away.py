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
from runner.line.line import LineOptions
from runner.stack.redis_server import redis_answers
from stream_features.catalogue.features import NAMES
from stream_features.offline.history_tables import read_history_tables
from stream_features.store.prime import prime, state_of_history
from testing.rigs.live_line import kill, run_line, wait_until_seen

pytestmark = pytest.mark.stack
HTTP_RATE = 50
DEADLINE_MS = 200
"""Where all share two cores, more than by default: what is degraded afterwards is not Redis's fault."""
SLOW_S = 2.5
"""Far beyond the deadline and the stream's four, and yet less than Redis is away."""


def get(line, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{line.settings.http_port}{path}", timeout=5) as reply:
        return json.load(reply)


@dataclass
class Client(threading.Thread):
    """Asks at a steady rate, and once again for every tenth."""

    line: object
    statuses: dict[int, int] = field(default_factory=dict)
    replies: list = field(default_factory=list)
    differing: list = field(default_factory=list)
    longest_s: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self):
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def ask(self, body):
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
        while not self.over.wait(max(0.0, started + n / HTTP_RATE - time.monotonic())):
            tx = {
                "tx_id": f"http-{n}",
                "card_id": f"c{n % 40}",
                "merchant_id": f"m{n % 7}",
                "amount_cents": 1,
            }
            body = json.dumps(tx).encode()
            reply = self.ask(body)
            if reply is not None:
                self.replies.append(reply)
                if n % 10 == 0:
                    again = self.ask(body)
                    if again not in (None, reply):
                        self.differing.append((reply, again))
            n += 1


def until_ready_says(line, status, reason=""):
    line.wait_for(
        f"readyz to say {status} {reason}",
        lambda: (found := get(line, "/readyz"))["status"] == status and reason in found.get("reason", ""),
        30,
    )


def prime_again(line):
    """As `fraudsim features prime` does."""
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
    found = {}

    def take_redis_away(line, observer):
        client = Client(line)
        client.start()
        wait_until_seen(line, observer, 200)
        before = len(client.replies)
        redis = line.supervisor.pid("redis")
        os.kill(redis, signal.SIGSTOP)
        try:
            until_ready_says(line, "degraded")
            wait_until_seen(line, observer, observer.tally.seen + 300)
        finally:
            os.kill(redis, signal.SIGCONT)
        until_ready_says(line, "ready")
        paused, seen = client.replies[before:], observer.tally.seen
        wait_until_seen(line, observer, seen + 100)

        before = len(client.replies)
        kill(line, "redis")
        line.wait_for("Redis to answer", lambda: redis_answers(line.settings.redis_url))
        until_ready_says(line, "degraded", "not primed")  # it came back empty
        prime_again(line)
        until_ready_says(line, "ready")
        killed, at = client.replies[before:], len(client.replies)
        wait_until_seen(line, observer, observer.tally.seen + 200)
        client.over.set()
        client.join(30)
        found.update(client=client, paused=paused, killed=killed, after=client.replies[at + 5 :])

    options = LineOptions(tmp_path / "run", seconds=20, rate=100, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, take_redis_away)
    client = found["client"]
    assert set(client.statuses) <= {200, 503}, client.statuses
    assert client.statuses.get(503, 0) <= 0.02 * client.statuses[200], client.statuses
    assert client.longest_s < SLOW_S
    assert client.differing == []
    for replies in (found["paused"], found["killed"]):
        degraded = [reply for reply in replies if reply["degraded"]]
        assert len(degraded) > 20
        by_name = [dict(zip(NAMES, reply["features"], strict=True)) for reply in degraded]
        assert all({its[name] for name in NAMES if name not in REQUEST_NAMES} == {None} for its in by_name)
        assert {reply["variant"] for reply in degraded} == {"fallback"}
    assert len(found["after"]) > 20
    assert not any(reply["degraded"] for reply in found["after"])
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    assert summary["restarts"] == {"redis": 1}
    parity = summary["parity"]
    assert parity["mismatches"] == 0
    assert parity["degraded"] == summary["flags"]["degraded"] > 300
    assert parity["vectors"] + parity["degraded"] + parity["uncertain"] == summary["decided"]
    stamps = read_log(tmp_path / "run", DECISIONS, ["via", "degraded", "stamp_received", "stamp_decided"])
    of_stream = [row for row in stamps.to_pylist() if row["via"] == "stream"]
    assert any(row["degraded"] for row in of_stream)
    assert max(row["stamp_decided"] - row["stamp_received"] for row in of_stream) < SLOW_S * 1e6
