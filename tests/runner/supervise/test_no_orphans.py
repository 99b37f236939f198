import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fraudsim.polling import poll_until
from runner.supervise.guard import _GATE, Guard
from runner.supervise.reaper import read_children, start_token

PARENT = """
import os, sys, time
from pathlib import Path
from runner.supervise.foreground import Termination, raise_on_signals
from runner.supervise.supervisor import Part, Supervisor

env = dict(os.environ)
try:
    with raise_on_signals(), Supervisor(Path(sys.argv[1])) as supervisor:
        pids = [supervisor.start(Part("plain", ["sleep", "600"], env))]
        family = ["sh", "-c", "sleep 600 & echo $!; trap '' TERM; while :; do sleep 600; done"]
        pids.append(supervisor.start(Part("family", family, env, stop_timeout_s=0.5)))
        while not supervisor.last_output("family"):
            time.sleep(0.01)
        pids.append(int(supervisor.last_output("family")[0]))
        print(*pids, supervisor.guard.reaper_pid, flush=True)
        while True:  # a signal that lands in another thread would not wake a long sleep
            time.sleep(0.2)
except (KeyboardInterrupt, Termination):
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whatever_ends_the_supervisor_ends_its_parts_and_its_reaper(
    number: signal.Signals,
    tmp_path: Path,
    end_after: Callable[[int], None],
    all_gone: Callable[[list[int]], bool],
) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    for pid in pids:
        end_after(pid)
    assert all(start_token(pid) for pid in pids)
    parent.send_signal(number)
    parent.communicate(timeout=15)
    assert all_gone(pids)


DEAF = """
import os, sys, time
from pathlib import Path
from runner.supervise.foreground import Termination, raise_on_signals
from runner.supervise.supervisor import Part, Supervisor

env = {**os.environ, "MARK": sys.argv[1]}
with raise_on_signals(), Supervisor(Path(sys.argv[1])) as supervisor:
    supervisor.start(Part("plain", ["sleep", "600"], env))
    deaf = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done"]
    supervisor.start(Part("deaf", deaf, env, stop_timeout_s=60))
    while not supervisor.last_output("deaf"):
        time.sleep(0.01)
    print("ready", flush=True)
    while True:
        time.sleep(0.2)
"""


def _marked(mark: Path) -> list[int]:
    """Processes with this mark in their variables."""
    pids = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("MARK") == str(mark) and process.status() != psutil.STATUS_ZOMBIE:
                pids.append(process.pid)
    return pids


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_kills_at_once_what_an_orderly_stop_waits_for(
    second: signal.Signals, tmp_path: Path, end_after: Callable[[int], None]
) -> None:
    parent = subprocess.Popen([sys.executable, "-c", DEAF, tmp_path], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    for pid in _marked(tmp_path):
        end_after(pid)
    parent.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert parent.poll() is None, "the part that ignores SIGTERM is waited for"
    parent.send_signal(second)
    assert parent.wait(30) == 128 + second
    remaining = _marked(tmp_path)
    for pid in remaining:
        end_after(pid)
    assert remaining == []


def test_a_process_that_outlives_its_dead_leader_is_ended_too(
    end_after: Callable[[int], None], all_gone: Callable[[list[int]], bool]
) -> None:
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; exit 0"], stdout=subprocess.PIPE, text=True, process_group=0
    )
    token = start_token(leader.pid) or "1"
    assert leader.stdout is not None
    left = int(leader.stdout.readline())
    end_after(left)
    leader.wait()
    reaper = [sys.executable, "-m", "runner.supervise.reaper"]
    subprocess.run(reaper, input=f"+{leader.pid} {token}\n", text=True, timeout=15, check=True)
    assert all_gone([left])


def test_a_killed_reaper_is_replaced_and_told_everything(end_after: Callable[[int], None]) -> None:
    guard = Guard()
    first = _sleep(guard)
    end_after(first.pid)
    first_reaper = guard.reaper_pid
    os.kill(first_reaper, signal.SIGKILL)
    assert poll_until(lambda: not start_token(first_reaper), 5)
    second = _sleep(guard)
    end_after(second.pid)
    assert guard.reaper_pid != first_reaper
    guard.close()
    assert [first.wait(5), second.wait(5)] == [-signal.SIGTERM] * 2


def test_a_child_whose_parent_dies_before_the_reaper_knows_it_never_starts(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    marker = tmp_path / "started"
    child = subprocess.Popen(
        ["/bin/sh", "-c", _GATE, str(read_end), "touch", str(marker)], pass_fds=(read_end,)
    )
    os.close(read_end)
    os.close(write_end)
    assert child.wait(5) != 0
    assert not marker.exists()


def test_a_pid_that_now_belongs_to_another_is_spared(end_after: Callable[[int], None]) -> None:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    end_after(bystander.pid)
    reaper = [sys.executable, "-m", "runner.supervise.reaper"]
    subprocess.run(reaper, input=f"+{bystander.pid} 1\n", text=True, timeout=15, check=True)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_the_reaper_forgets_who_is_gone() -> None:
    assert read_children(["+1 a\n", "+2 b\n", "-1\n", "+3 c\n"]) == ({2: "b", 3: "c"}, False)


def test_a_start_token_names_a_process_for_its_life() -> None:
    assert start_token(os.getpid()) == start_token(os.getpid()) != ""
    dead = subprocess.Popen(["true"])
    dead.wait()
    assert start_token(dead.pid) == ""


def _sleep(guard: Guard) -> "subprocess.Popen[bytes]":
    nothing = subprocess.DEVNULL
    return guard.popen(["sleep", "600"], dict(os.environ), stdin=nothing, output=nothing)
