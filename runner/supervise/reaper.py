"""The reaper: ends a supervisor's children when the supervisor ends, whatever ended it.

It runs as a separate process, started by path with `python -I -S`, and therefore imports the standard library
only. It reads lines from a pipe whose only write end the supervisor holds: `+PID TOKEN` (a child that leads a
process group, and the start time of that process), `-PID` (the group has ended), `!` (kill every group on the
list, and every later one, at once). At the end of the file the supervisor has ended: every group still on the
list gets SIGTERM, and SIGKILL five seconds later.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

GRACE_S = 5.0
KILL = "!\n"
_POLL_S = 0.02


def start_token(pid: int) -> str:
    """The start time of a process, in the system's notation. Pid and token together identify one process.

    Empty if there is no such process, or only a zombie.
    """
    if sys.platform == "linux":
        fields = _stat(pid)
        return "" if not fields or fields[0] in "ZX" else fields[19]
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return "" if not started or state.startswith("Z") else "-".join(started.split())


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if there is no such process. Linux only."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return []


def is_group_alive(pid: int) -> bool:
    """Whether the group has a process other than zombies, which a container's init may never reap."""
    if not signal_group(pid, 0):
        return False
    if sys.platform != "linux":
        return True
    members = (_stat(name) for name in os.listdir("/proc") if name.isdigit())
    return any(fields and fields[2] == str(pid) and fields[0] not in "ZX" for fields in members)


def signal_group(pid: int, number: int) -> bool:
    """Send a signal to the process group that `pid` leads; returns whether the group has a process."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # macOS: "not permitted" if only zombies are left
        return False
    return True


def end_groups(pids: Iterable[int], grace_s: float) -> None:
    """Send SIGTERM to each process group, and SIGKILL to those that remain after `grace_s` seconds."""
    remaining = [pid for pid in pids if signal_group(pid, signal.SIGTERM) and is_group_alive(pid)]
    deadline = time.monotonic() + grace_s
    while remaining and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        remaining = [pid for pid in remaining if is_group_alive(pid)]
    for pid in remaining:
        signal_group(pid, signal.SIGKILL)


def is_ours(pid: int, token: str) -> bool:
    """Whether the group that a child led is still the child's own.

    A pid with another start token was reused by an unrelated process. Without a process of that pid, what is
    left of the group is the child's: the system gives no pid anew while a group of that number has members.
    """
    return start_token(pid) in (token, "")


def read_children(lines: Iterable[str]) -> tuple[dict[int, str], bool]:
    """The children still listed at the end of `lines`, pid to start token, and whether to kill them at once.

    After `!`, every child is killed as soon as it is read.
    """
    children: dict[int, str] = {}
    at_once = False
    for line in lines:
        pid, _, token = line[1:].strip().partition(" ")
        if line == KILL:
            at_once = True
            for listed, listed_token in children.items():
                _kill(listed, listed_token)
        elif line.startswith("+"):
            children[int(pid)] = token
            if at_once:
                _kill(int(pid), token)
        else:
            children.pop(int(pid), None)
    return children, at_once


def _kill(pid: int, token: str) -> None:
    if is_ours(pid, token):
        signal_group(pid, signal.SIGKILL)


def main() -> None:
    """Read standard input to its end, then end every child still listed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.chdir("/")
    # `iter`, because a file's own iterator reads ahead, and `!` must be read at once.
    children, at_once = read_children(iter(sys.stdin.readline, ""))
    end_groups([pid for pid, token in children.items() if is_ours(pid, token)], 0.0 if at_once else GRACE_S)


if __name__ == "__main__":
    main()
