"""The lock of a stack's folder, held while its owner or any of its servers runs."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.process.disk import explain_disk_errors
from runner.supervise.reaper import start_token

FILE = "stack.lock"
# Long enough for a reaper to end the servers of a killed owner.
_RELEASE_S = 10.0


def owner_pid(directory: Path) -> int | None:
    """Process id of the running owner of the stack in `directory`; None if there is none."""
    try:
        record = json.loads((directory / FILE).read_text())
        pid, token = int(record["pid"]), str(record["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if token and start_token(pid) == token else None


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(directory: Path) -> bool:
    """Whether an owner or a server of a stack in `directory` still runs."""
    try:
        descriptor = os.open(directory / FILE, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def stack_lock(directory: Path) -> Iterator[int]:
    """Own the stack's folder for the length of the block; yields a descriptor for the servers to inherit.

    Raises:
        FraudsimError: another stack runs in the folder.
    """
    with explain_disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not poll_until(lambda: _try_lock_or_fail(descriptor, directory), _RELEASE_S):
            raise FraudsimError(
                f"servers of an earlier stack still run in {directory}: choose another folder with --dir"
            )
        with explain_disk_errors(directory):
            os.ftruncate(descriptor, 0)
            record = {"pid": os.getpid(), "started": start_token(os.getpid())}
            os.pwrite(descriptor, json.dumps(record).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock_or_fail(descriptor: int, directory: Path) -> bool:
    """Whether the lock was acquired; raises FraudsimError if a running owner holds it."""
    if _try_lock(descriptor):
        return True
    pid = owner_pid(directory)
    if pid is not None:
        raise FraudsimError(
            f"a stack runs in {directory} already (process {pid}): "
            f"stop it with `fraudsim stack down --dir {directory}` or choose another folder"
        )
    return False
