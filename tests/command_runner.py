"""Runs commands of the console script, each in a fork of one process that has loaded the rooms.

    python -m tests.command_runner        one JSON object a line in, one out

A request has `id`, `words`, `env` and `folder`; a reply has `id`, `code` (None after `limit_s`), `out` and
`err`, and comes when the command has ended. Several run at once, since most of them wait for a server.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

LOADED = (
    "model.training.train", "model.training.score_only", "model.registry.versions", "dashboards.watch",
    "studies.freshness.definition", "studies.treatments", "runner.line.line", "scorer.decide",
    "stream_features.store.prime", "producers.world.world",
)  # fmt: skip
"""Modules that most commands take long to load."""


AT_ONCE = 10
LINUX_CAPABILITY_VERSION_3 = 0x20080522
KEPT = 0xFFFF_FFFF & ~0b1110
"""Without CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER, by which root may use any file."""


class Running:
    """A command in a process group of its own."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._id = request["id"]
        self._files = {"out": tempfile.TemporaryFile(), "err": tempfile.TemporaryFile()}  # noqa: SIM115
        self._pid = os.fork()
        if self._pid == 0:
            _become_command(request, self._files["out"], self._files["err"])
        self._ends_at = time.monotonic() + request["limit_s"]

    def reply(self) -> dict[str, Any] | None:
        """The outcome; None while it runs."""
        waited, status = os.waitpid(self._pid, os.WNOHANG)
        if not waited and time.monotonic() < self._ends_at:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)  # and whatever the command started
        if not waited:
            os.waitpid(self._pid, 0)
        reply: dict[str, Any] = {
            "id": self._id, "code": os.waitstatus_to_exitcode(status) if waited else None
        }  # fmt: skip
        for name, file in self._files.items():
            file.seek(0)
            reply[name] = file.read().decode(errors="backslashreplace")
            file.close()
        return reply


def _become_command(request: dict[str, Any], out: IO[bytes], err: IO[bytes]) -> None:
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        if request["plain_user"] and os.getuid() == 0:
            _obey_permissions()
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["folder"])
        encoding = request["encoding"]
        sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.argv = ["fraudsim", *request["words"]]
        from fraudsim.cli import main

        main()
        code = 0
    except SystemExit as exited:
        code = exited.code if isinstance(exited.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _obey_permissions() -> None:
    """Give up root's right to every file; a change of the user would lose a Python in root's home."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) == 0:
        sets[0] &= KEPT  # the lower half of the effective set
        libc.capset(header, sets)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from fraudsim.cli import build

    build()
    for name in LOADED:
        importlib.import_module(name)
    for command in serve(sys.stdin.fileno()):
        replies.write(json.dumps(command) + "\n")
        replies.flush()


def serve(requests: int) -> Iterator[dict[str, Any]]:
    """The replies to the requests that come through a pipe, until it ends."""
    waiting: deque[bytes] = deque()
    running: list[Running] = []
    rest: bytes | None = b""
    while rest is not None or waiting or running:
        if rest is not None and select.select([requests], [], [], 0 if running or waiting else None)[0]:
            chunk = os.read(requests, 1 << 16)
            *lines, last = (rest + chunk).split(b"\n")
            waiting += lines
            rest = last if chunk else None
        while waiting and len(running) < AT_ONCE:
            running.append(Running(json.loads(waiting.popleft())))
        time.sleep(0.005)
        for command in running[:]:
            reply = command.reply()
            if reply is not None:
                running.remove(command)
                yield reply


if __name__ == "__main__":
    main()
