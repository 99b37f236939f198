"""Ends a supervisor's children when the supervisor itself dies, however it dies.

Runs as a small process of its own, started by path with `python -I -S`: so it imports the standard library
only. It reads lines from a pipe whose only write end the supervisor holds: `+PID TOKEN` (a child that leads a
process group, and when that process started), `-PID` (it is gone). At the end of the file the supervisor is
dead or done: every group still on the list gets SIGTERM, and SIGKILL five seconds later.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

GRACE_S = 5.0
_EVERY_S = 0.02


def start_token(pid: int) -> str:
    """When the process started, as the system says it: with the pid, it names one process for ever.

    Empty if there is no such process (a zombie counts as none).
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
    """What Linux says of a process, from its state on; empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except OSError:
        return []


def _group_lives(pid: int) -> bool:
    """Whether the group has more than zombies, which the first process of a container may never collect."""
    if not signal_group(pid, 0):
        return False
    if sys.platform != "linux":
        return True
    members = (_stat(name) for name in os.listdir("/proc") if name.isdigit())
    return any(fields and fields[2] == str(pid) and fields[0] not in "ZX" for fields in members)


def signal_group(pid: int, number: int) -> bool:
    """Send a signal to the process group that `pid` leads; whether the group still has a process."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # macOS answers "not permitted" where only zombies are left
        return False
    return True


def end_groups(pids: Iterable[int], grace_s: float) -> None:
    """SIGTERM to each process group, and SIGKILL to those that are left after `grace_s` seconds."""
    left = [pid for pid in pids if signal_group(pid, signal.SIGTERM) and _group_lives(pid)]
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(_EVERY_S)
        left = [pid for pid in left if _group_lives(pid)]
    for pid in left:
        signal_group(pid, signal.SIGKILL)


def follow(lines: Iterable[str]) -> dict[int, str]:
    """The children still on the list when the lines end, each with its start token."""
    children: dict[int, str] = {}
    for line in lines:
        pid, _, token = line[1:].strip().partition(" ")
        if line.startswith("+"):
            children[int(pid)] = token
        else:
            children.pop(int(pid), None)
    return children


def main() -> None:
    """Follow standard input to its end, then leave no child behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.chdir("/")
    children = follow(sys.stdin)
    # A pid whose start token differs was given to a stranger after the child's death.
    end_groups([pid for pid, token in children.items() if start_token(pid) == token], GRACE_S)


if __name__ == "__main__":
    main()
