"""Every process of the line killed with -9 in mid-run: nothing lost, nothing twice, state as recomputed."""

import os
import signal
import time

import pytest
from redis import Redis

from runner.line import LineOptions
from stream_features import state as states
from stream_features.parity import state_after
from stream_features.redis_io import blob_key
from fraudsim.slots import slot_of
from tests_line import run_line, wait_until_seen

pytestmark = pytest.mark.stack


def kill(line, name):
    pid = line.supervisor.pid(name)
    os.kill(pid, signal.SIGKILL)
    line.wait_for(f"{name} to be back", lambda: line.supervisor.pid(name) not in (None, pid))


def state_equals_the_log(line):
    """Every key's state in Redis is, in canonical form, what history and log come to."""
    settings, run = line.settings, line.run_dir
    expected = state_after(run, run / "history", settings)
    redis = Redis.from_url(settings.redis_url)
    stored = {key.decode() for key in redis.keys("{s*}:*:*")}
    names = {blob_key(slot_of(entity, key, settings.slots), entity, key): (entity, key) for entity, key in expected}
    assert stored == names.keys()
    horizon_ms = line.clock_horizon_ms
    for name, (entity, key) in names.items():
        assert states.canonical(entity, redis.get(name), horizon_ms) == expected[entity, key], name


def test_kill_9_of_each_process_in_turn_loses_and_doubles_nothing(tmp_path, prepared, line_settings):
    def kill_each(line, observer):
        wait_until_seen(line, observer, 400)
        for name in ("worker", "scorer", "archiver", "producer"):
            kill(line, name)
            seen = observer.tally.seen
            wait_until_seen(line, observer, seen + 300)

    options = LineOptions(tmp_path / "run", seconds=24, rate=200, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, kill_each, state_equals_the_log)
    assert summary["sent"] == pytest.approx(24 * 200, rel=0.5)
    assert (summary["lost"], summary["duplicated"], summary["dead_lettered"]) == (0, 0, 0)
    assert summary["restarts"] == {"worker": 1, "scorer": 1, "archiver": 1, "producer": 1}
    assert summary["parity"]["mismatches"] == 0
    assert summary["parity"]["vectors"] == summary["sent"]
