import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
