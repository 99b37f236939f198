"""Running a line under a test's hands."""

import json
import os
import re
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis

from fraudsim.log import topics
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from runner.line.demo import sum_up
from runner.line.line import Line, LineOptions
from runner.record.observer import Latencies, Observer
from scorer.policy.file import SHIPPED
from stream_features.catalogue.features import WINDOWED
from stream_features.kernels import state as states
from stream_features.offline.archived_log import archived_clock
from stream_features.offline.history_tables import read_history_tables
from stream_features.store.keys import blob_key
from stream_features.store.prime import state_of_history
from stream_features.store.rebuild import fold_archive


def run_line(
    options: LineOptions,
    settings: Settings,
    meanwhile: Callable[[Line, Observer], None] = lambda line, observer: None,
    before_close: Callable[[Line], None] = lambda line: None,
    brute_force: int = 40,
) -> dict[str, Any]:
    """A whole run; `meanwhile` is called while the traffic flows, `before_close` once all is archived."""
    with Line(options, settings) as line:
        line.prepare()
        line.start_line()
        started = time.monotonic()
        with Observer(line.settings, topics.DECISIONS) as observer:
            line.start_producer()
            meanwhile(line, observer)
            line.wait_for("the producer", lambda: line.done("producer"), 120 + (options.seconds or 0))
            seconds = time.monotonic() - started
            line.drain(observer.tally)
        before_close(line)
        return sum_up(line, seconds, observer.tally.latencies, Latencies(), brute_force)


def policy_at(folder: Path, step_up: float, review: float, decline: float) -> Path:
    """A policy that acts at these scores, so that a test has the actions that it is about."""
    shutil.copytree(SHIPPED, folder)
    words = json.loads((folder / "policy.json").read_text())
    cuts = {"step_up": step_up, "review": review, "decline": decline}
    words["act_by"] = {"type": "thresholds", "champion": cuts, "fallback": cuts}
    words["exploration"]["share"] = 0
    (folder / "policy.json").write_text(json.dumps(words))
    return folder


def good_body(now_ms, **changes):
    body = {
        "schema_version": 1,
        "tx_id": "x",
        "ts": now_ms,
        "card_id": "c1",
        "merchant_id": "m1",
        "amount_cents": 100,
    }
    body.update(changes)
    return {name: value for name, value in body.items() if value is not ...}


def ask(line, body, path="/v1/score", timeout=10):
    """(status, JSON) of a request to the scorer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{line.settings.http_port}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def wait_until_seen(line: Line, observer: Observer, count: int, wait_s: float = 60) -> None:
    line.wait_for(f"{count} decisions", lambda: observer.tally.seen >= count, wait_s)


def kill(line: Line, name: str) -> None:
    """kill -9, and wait until the supervisor has started it again."""
    pid = line.supervisor.pid(name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    line.wait_for(f"{name} to be back", lambda: line.supervisor.pid(name) not in (None, pid))


def metrics_port(line: Line, part: str) -> int:
    """Where the newest process of a part serves its metrics."""
    return int(re.findall(r'"metrics_port": ?(\d+)', line.supervisor.log(part).read_text())[-1])


def state_equals_the_log(line: Line) -> None:
    """Every key's state in Redis is, in canonical form, what history and log come to."""
    settings, run = line.settings, line.run_dir
    first = archived_clock(run).first
    table = state_of_history(*read_history_tables(run / "history"), first.event_epoch_ms, first.horizon_ms)
    fold_archive(table, run)
    expected = {
        blob_key(slot_of(*key, settings.slots), *key): (key[0], states.to_bytes(state))
        for key, state in table.items()
    }
    with Redis.from_url(settings.redis_url) as redis:
        names = sorted(key.decode() for entity in WINDOWED for key in redis.keys(f"*:{entity}:*"))
        assert names == sorted(expected)
        horizon_ms = archived_clock(run).horizon_ms
        for name, blob in zip(names, redis.mget(names), strict=True):
            entity, wanted = expected[name]
            assert states.canonical(entity, blob, horizon_ms) == wanted, name
