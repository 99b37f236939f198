"""A whole line for tests: run it, act on it meanwhile, and compare its state with its log."""

import json
import os
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis

from fraudsim.addresses import http_url, open_direct, running_line
from fraudsim.log import topics
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from runner.line.line import Line
from runner.line.options import LineOptions
from runner.line.run_end import close_and_summarise, drain
from runner.record.latencies import Latencies
from runner.record.observer import Observer
from scorer.policy.file import SHIPPED
from stream_features.catalogue.features import WINDOWED
from stream_features.kernels import state as states
from stream_features.offline.archived_log import archived_clock, archived_ends
from stream_features.offline.history_tables import read_history_tables
from stream_features.store.idle_keys import is_idle
from stream_features.store.keys import blob_key
from stream_features.store.prime import state_of_history
from stream_features.store.rebuild import fold_archive


def run_line(
    options: LineOptions,
    settings: Settings,
    during_traffic: Callable[[Line, Observer], None] = lambda line, observer: None,
    before_close: Callable[[Line], None] = lambda line: None,
    brute_force: int = 40,
) -> dict[str, Any]:
    """Run a line to its end.

    Args:
        during_traffic: called while the traffic flows.
        before_close: called once everything is archived, before the stack ends.
        brute_force: number of served vectors to recompute by brute force.

    Returns:
        The content of `summary.json`.
    """
    with Line(options, settings) as line:
        line.prepare()
        line.start_line()
        started_s = time.monotonic()
        with Observer(line.settings, topics.DECISIONS) as observer:
            line.start_producer()
            during_traffic(line, observer)
            line.wait_for("the producer", lambda: line.done("producer"), 120 + (options.seconds or 0))
            seconds = time.monotonic() - started_s
            drain(line, observer.tally)
        before_close(line)
        return close_and_summarise(line, seconds, observer.tally.latencies, Latencies(), brute_force)


def policy_at(folder: Path, step_up: float, review: float, decline: float) -> Path:
    """Write a policy with these score thresholds, so that a test gets the actions it needs."""
    shutil.copytree(SHIPPED, folder)
    content = json.loads((folder / "policy.json").read_text())
    thresholds = {"step_up": step_up, "review": review, "decline": decline}
    content["act_by"] = {"type": "thresholds", "champion": thresholds, "fallback": thresholds}
    content["exploration"]["share"] = 0
    content["limits"]["flag_from_probability"] = 0
    (folder / "policy.json").write_text(json.dumps(content))
    return folder


def ask_scorer(
    line: Line, body: bytes | dict[str, Any] | None, path: str = "/v1/score", timeout_s: float = 10
) -> tuple[int, Any]:
    """Status and JSON of a request to the scorer: POST with a body, GET with None."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    base = http_url(line.settings.http_host, line.settings.http_port)
    request = urllib.request.Request(base + path, data)
    try:
        with open_direct(request, timeout_s) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def event_now_ms(line: Line) -> int:
    """The present event time of the run, from the scorer's clock."""
    return int(ask_scorer(line, None, "/v1/clock")[1]["now_ms"])


def wait_for_decisions(line: Line, observer: Observer, count: int, timeout_s: float = 60) -> None:
    """Wait until the observer has read `count` decisions."""
    line.wait_for(f"{count} decisions", lambda: observer.tally.decisions >= count, timeout_s)


def kill(line: Line, name: str) -> None:
    """Kill a part with -9 and wait until the supervisor has restarted it."""
    pid = line.supervisor.pid(name)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    line.wait_for(f"{name} to be back", lambda: line.supervisor.pid(name) not in (None, pid))


def metrics_port(line: Line, part: str) -> int:
    """The metrics port of a part, from the run folder."""
    running = running_line(line.run_dir)
    assert running is not None
    return running.parts[part].metrics_port


def serves_metrics(line: Line, part: str) -> bool:
    """Whether a part answers on its metrics port."""
    try:
        with open_direct(line.metrics_url(part), timeout_s=5):
            return True
    except OSError:
        return False


def check_state_equals_log(line: Line) -> None:
    """Assert that every key's state in Redis equals, in canonical form, the fold of history and log."""
    settings, run_dir = line.settings, line.run_dir
    segment = archived_clock(run_dir).first
    table = state_of_history(
        *read_history_tables(run_dir / "history"), segment.event_epoch_ms, segment.horizon_ms
    )
    ends = archived_ends(run_dir, settings.partitions)
    assert not any(end.has_hole for end in ends)
    fold_archive(table, run_dir, ends)
    expected = {
        blob_key(slot_of(*key, settings.slots), *key): (key[0], states.to_bytes(state))
        for key, state in table.items()
    }
    with Redis.from_url(settings.redis_url) as redis:
        names = sorted(key.decode() for entity in WINDOWED for key in redis.keys(f"*:{entity}:*"))
        swept = expected.keys() - set(names)
        now_ms = archived_clock(run_dir).now_ms(time.time() * 1000)
        for name in swept:
            entity, blob = expected[name]
            assert is_idle(entity, states.from_bytes(entity, blob), now_ms, segment.horizon_ms), name
        assert not set(names) - expected.keys()
        horizon_ms = archived_clock(run_dir).horizon_ms
        for name, blob in zip(names, redis.mget(names), strict=True):
            entity, expected_bytes = expected[name]
            assert states.canonical(entity, blob, horizon_ms) == expected_bytes, name
