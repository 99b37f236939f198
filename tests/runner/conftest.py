"""Fixtures of the runner's tests: settings, stand-in programs, a local Maven repository."""

import functools
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import pytest

from fraudsim.jars.pins import PinnedJar
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.supervise.reaper import start_token


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, runs_dir=tmp_path / "runs")


@pytest.fixture
def all_gone() -> Callable[[list[int]], bool]:
    """Whether all these processes have ended within 15 s; a zombie counts as ended."""
    return lambda pids: poll_until(lambda: not any(start_token(pid) for pid in pids), 15.0)


@pytest.fixture
def end_after() -> Iterator[Callable[[int], None]]:
    """Register a process that the test started; it is killed at the end if it still runs."""
    started: dict[int, str] = {}

    def register(pid: int) -> None:
        started[pid] = start_token(pid)

    yield register
    for pid, token in started.items():
        if token and start_token(pid) == token:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def write_program() -> Callable[[Path, str], Path]:
    """Write an executable shell script."""

    def write(path: Path, script: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
        return path

    return write


class MavenRepository:
    """A Maven repository on the loopback that records its requests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests: list[str] = []
        repository = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                repository.requests.append(self.path)

        handler = functools.partial(Handler, directory=str(root))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, name: str, content: bytes) -> PinnedJar:
        path = PurePosixPath(f"com/example/{name}/1.0/{name}-1.0.jar")
        file = self.root / path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        return PinnedJar(path, hashlib.sha256(content).hexdigest())


@pytest.fixture
def use_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let jgo fetch its jars from an address."""

    def use(address: str) -> None:
        config = tmp_path / "jgo.conf"
        config.write_text(f"[repositories]\ncentral = {address}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(config))

    return use


@pytest.fixture
def repository(tmp_path: Path, use_repository: Callable[[str], None]) -> Iterator[MavenRepository]:
    root = tmp_path / "repository"
    root.mkdir()
    repository = MavenRepository(root)
    thread = threading.Thread(target=repository.server.serve_forever, daemon=True)
    thread.start()
    use_repository(repository.address)
    yield repository
    repository.server.shutdown()
    repository.server.server_close()
    thread.join()
