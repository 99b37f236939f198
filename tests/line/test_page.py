"""The live page beside a run: its figures are the summary's; a worker that ends is red, then back."""

import os
import re
import signal

import pytest

from fraudsim.addresses import open_direct
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.line.options import LineOptions
from testing.rigs.live_line import kill, run_line, wait_for_decisions

pytestmark = pytest.mark.stack


def figures_of(line):
    with open_direct(line.page_address, timeout_s=10) as reply:
        html = reply.read().decode()
    values = dict(re.findall(r'<data data-figure="(\w+)" value="([^"]*)">', html))
    statuses = dict(re.findall(r'data-box="(\w+)" data-status="(\w+)"', html))
    return {name: float(value) for name, value in values.items()}, statuses


def worker_is(line, status):
    return lambda: figures_of(line)[1]["worker"] == status


def test_its_figures_are_the_summary_s_and_a_killed_worker_is_seen(tmp_path, prepared):
    last, statuses = {}, set()

    def watch(line, observer):
        wait_for_decisions(line, observer, 200)
        line.wait_for("the page to see the line", worker_is(line, "up"), 30)
        os.kill(line.supervisor.pid("worker"), signal.SIGSTOP)  # a new one may answer before the page asks
        statuses.add("down" if poll_until(worker_is(line, "down"), 30, every_s=0.1) else "")
        kill(line, "worker")
        statuses.add("up" if poll_until(worker_is(line, "up"), 60, every_s=0.2) else "")
        line.wait_for("the producer", lambda: line.done("producer"), 120)
        line.wait_for("every decision", lambda: observer.tally.stream_decisions >= line.planned(), 60)

        def all_decided():
            last.update(figures_of(line)[0])
            return last["decided"] == line.planned() == last["sent"]

        assert poll_until(all_decided, 30, every_s=0.3), last
        last.update(figures_of(line)[0])

    options = LineOptions(
        tmp_path / "run", seconds=8, rate=150, cards=800, null_seconds=0, reuse=prepared, page=True
    )
    summary = run_line(options, Settings(_env_file=None), watch, brute_force=1)
    assert statuses == {"down", "up"}
    assert {name: last[name] for name in ("sent", "decided", "lost", "duplicated", "dead_lettered")} == {
        name: summary[name] for name in ("sent", "decided", "lost", "duplicated", "dead_lettered")
    }
    assert {action: last[action] for action in summary["actions"]} == summary["actions"]
    assert {flag: last[flag] for flag in summary["flags"]} == summary["flags"]
    # To the log, where the summary counts to the record read back from it.
    assert 0 < last["p99_ms"] <= summary["latency_ms"]["p99"] * 1.01 + 1
    assert last["p50_ms"] > 0
    assert summary["lost"] == 0
