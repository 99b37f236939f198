"""Redis that is away is named at once, before a command's work, and a part says that it waits."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from fraudsim.errors import FraudsimError
from fraudsim.log import clock_log
from fraudsim.settings import Settings, load_settings
from stream_features import cli
from stream_features.store import rebuild, redis_access
from stream_features.store.key_inspection import inspect_key
from stream_features.store.prime import prime
from stream_features.store.redis_access import await_redis, check_answers, problem_of


class Answering:
    """A server that answers every command with these bytes."""

    def __init__(self, answer: bytes, listening: bool = True) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.url = f"redis://:secret@127.0.0.1:{self.socket.getsockname()[1]}/0"
        self._answer = answer
        if listening:
            self.listen()

    def listen(self) -> None:
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._reply, args=(connection,), daemon=True).start()

    def _reply(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while asked := connection.recv(10_000):
                connection.sendall(self._answer * max(1, asked.count(b"*")))


@pytest.fixture
def away() -> Settings:
    closed = Answering(b"", listening=False)
    return Settings(_env_file=None, redis_url=closed.url)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-WRONGPASS invalid username-password pair\r\n", "invalid username-password pair"),
        (b"-NOAUTH Authentication required.\r\n", "Authentication required"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading the dataset"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol"),
    ],
)
def test_what_answers_otherwise_is_named_with_the_reason(answer: bytes, reason: str) -> None:
    settings = Settings(_env_file=None, redis_url=Answering(answer).url)
    with pytest.raises(FraudsimError) as error:
        check_answers(settings)
    assert reason in str(error.value)
    assert str(error.value).startswith("setting FRAUDSIM_REDIS_URL=redis://:***@127.0.0.1:")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["redis://no-such-host.invalid", "redis://127.0.0.1:1", "unix:///no/such"])
def test_an_address_that_leads_nowhere_is_named(url: str) -> None:
    with pytest.raises(FraudsimError, match=r"setting FRAUDSIM_REDIS_URL=.*: no Redis answers there \(.+\)"):
        check_answers(Settings(_env_file=None, redis_url=url))


def test_one_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_access, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "imeout" in str(problem_of(f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))


def test_a_part_says_once_that_it_waits_and_goes_on_when_redis_answers() -> None:
    late = Answering(b"+PONG\r\n", listening=False)
    threading.Timer(0.4, late.listen).start()
    with capture_logs() as logs:
        await_redis(Settings(_env_file=None, redis_url=late.url), structlog.get_logger())
        await_redis(Settings(_env_file=None, redis_url=late.url), structlog.get_logger())
    assert [log["event"] for log in logs] == ["waiting_for_redis"]
    assert "***" in logs[0]["url"]


def test_a_part_gives_up_in_one_line(away: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_access, "WAIT_S", 0.1)
    with capture_logs(), pytest.raises(FraudsimError, match="no Redis answers there"):
        await_redis(away, structlog.get_logger())


def test_every_command_finds_it_out_before_its_work(away: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    segment: Any = SimpleNamespace(history_fingerprint="", log_id="log")
    opened = SimpleNamespace(clock=SimpleNamespace(first=segment))
    for module in (clock_log, rebuild, redis_access):
        monkeypatch.setattr(module, "open_clock", lambda *_: opened, raising=False)
    monkeypatch.setattr("stream_features.store.key_inspection.open_clock", lambda *_: opened)
    monkeypatch.setenv("FRAUDSIM_REDIS_URL", away.redis_url)
    load_settings.cache_clear()
    nowhere = Path("/nowhere")  # what the work would need
    for command in (
        lambda: cli.prime(nowhere, force=False),
        lambda: prime(away, segment, {}, ""),
        lambda: rebuild.rebuild(away, nowhere),
        lambda: inspect_key(away, "card", "c1"),
    ):
        with pytest.raises(FraudsimError, match="no Redis answers there"):
            command()
    load_settings.cache_clear()
