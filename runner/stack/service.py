"""The stack as a background service: a detached process that holds it, and a file with its addresses.

`python -m runner.stack.service` is that process.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.process.disk import explain_disk_errors
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from runner.stack import lock as stack_lock
from runner.stack.stack import StackAddresses, find_programs, stack
from runner.supervise.foreground import Termination, raise_on_signals
from runner.supervise.last_log_lines import last_lines
from runner.supervise.reaper import signal_group

STATE_FILE = "stack.json"
LOG_FILE = "stack.log"
_UP_S = 120.0
_DOWN_S = 40.0


def addresses(directory: Path) -> StackAddresses | None:
    """The addresses of the stack in `directory`; None if no stack is up there."""
    pid = stack_lock.owner_pid(directory)
    try:
        state = json.loads((directory / STATE_FILE).read_text())
        if pid is None or state["pid"] != pid:
            return None
        return StackAddresses(state["kafka_bootstrap"], state["redis_url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def bring_up(directory: Path, settings: Settings, *, fresh: bool) -> StackAddresses:
    """Start a detached process that holds a stack in `directory`; returns when its servers answer.

    Raises:
        FraudsimError: the stack did not come up; the message says why.
    """
    directory = directory.absolute()
    find_programs(settings)  # downloads show their progress in this process, which has the terminal
    with explain_disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        log = (directory / LOG_FILE).open("ab")
    with log:
        log_start = log.tell()
        holder = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(directory), "fresh" if fresh else "reuse"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    is_up = False
    try:
        ended = poll_until(lambda: addresses(directory) is not None or holder.poll() is not None, _UP_S)
        stack_addresses = addresses(directory)
        if stack_addresses is not None:
            is_up = True
            return stack_addresses
        lines = last_lines(directory / LOG_FILE, since_byte=log_start)
        reason = (
            lines[-1].removeprefix("error: ") if ended and lines else f"it took longer than {_UP_S:.0f} s"
        )
        raise FraudsimError(f"the stack in {directory} did not come up: {reason}")
    finally:
        if not is_up and holder.poll() is None:
            holder.terminate()
            holder.wait()


def bring_down(directory: Path) -> bool:
    """End the stack in `directory` and all its processes; returns whether there was a stack.

    Raises:
        FraudsimError: a process of the stack does not end.
    """
    pid = stack_lock.owner_pid(directory)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        if not poll_until(lambda: stack_lock.owner_pid(directory) is None, _DOWN_S):
            signal_group(pid, signal.SIGKILL)  # its reaper then ends the servers
    if not poll_until(lambda: not stack_lock.is_held(directory), _DOWN_S):
        raise FraudsimError(f"a process of the stack in {directory} does not end; see {directory / 'logs'}")
    return pid is not None


def hold(directory: Path, settings: Settings, *, fresh: bool) -> None:
    """Run a stack until this process gets a signal; the state file has its addresses meanwhile.

    Raises:
        FraudsimError: the stack did not come up.
    """
    state_file = directory / STATE_FILE
    try:
        with raise_on_signals(), stack(directory, settings, fresh=fresh) as stack_addresses:
            state = {"pid": os.getpid(), **asdict(stack_addresses)}
            with explain_disk_errors(directory):
                write_whole(state_file, json.dumps(state, indent=1), mode=0o600)  # it has Redis' password
            while True:
                signal.pause()
    except (Termination, KeyboardInterrupt):
        pass
    finally:
        state_file.unlink(missing_ok=True)


def main() -> None:
    """Entry point of the detached process. Arguments: DIRECTORY, then `fresh` or `reuse`."""
    from fraudsim.settings import load_settings

    directory, mode = sys.argv[1:]
    try:
        hold(Path(directory), load_settings(), fresh=mode == "fresh")
    except FraudsimError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
