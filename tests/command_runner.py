"""Runs commands of the console script, each in a fork of one process that has loaded the rooms.

    python -m tests.command_runner        one JSON object a line in, one out

A request has `words`, `env` and `folder`; a reply has `code` (None after `limit_s`), `out` and `err`.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from typing import IO, Any

LOADED = (
    "model.training.train", "model.training.score_only", "model.registry.versions", "dashboards.watch",
    "studies.freshness", "studies.detectability", "runner.line.line", "scorer.decide",
    "stream_features.store.prime", "producers.world.world",
)  # fmt: skip
"""Modules that most commands take long to load."""


def run(request: dict[str, Any]) -> dict[str, Any]:
    """The outcome of one command."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            _become_command(request, out, err)
        ended_at = time.monotonic() + request["limit_s"]
        code: int | None = None
        while code is None and time.monotonic() < ended_at:
            waited, status = os.waitpid(pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if waited else None
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # and whatever the command started
        if code is None:
            os.waitpid(pid, 0)
        texts = {}
        for name, file in (("out", out), ("err", err)):
            file.seek(0)
            texts[name] = file.read().decode(errors="backslashreplace")
        return {"code": code, **texts}


def _become_command(request: dict[str, Any], out: IO[bytes], err: IO[bytes]) -> None:
    code = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
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


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from fraudsim.cli import build

    build()
    for name in LOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        replies.write(json.dumps(run(json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
