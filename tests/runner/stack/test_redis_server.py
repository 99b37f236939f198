import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudsim.addresses import mask_password
from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.stack import redis_server
from runner.stack.ports import free_port
from runner.stack.redis_server import RedisServer, find_redis, redis_answers
from runner.supervise.supervisor import Supervisor


def test_the_server_asked_for_comes_first(
    tmp_path: Path, settings: Settings, write_program: Callable[[Path, str], Path]
) -> None:
    configured = write_program(tmp_path / "my-redis", "exit 0\n")
    assert find_redis(settings.model_copy(update={"redis_server": configured})) == configured


def test_a_server_asked_for_that_is_not_there_is_named(tmp_path: Path, settings: Settings) -> None:
    configured = tmp_path / "my-redis"
    with pytest.raises(FraudsimError, match=f"FRAUDSIM_REDIS_SERVER={configured} cannot be run"):
        find_redis(settings.model_copy(update={"redis_server": configured}))


def test_the_server_in_the_wheel_comes_next_and_is_a_patched_one(
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    write_program: Callable[[Path, str], Path],
) -> None:
    write_program(tmp_path / "redis-server", "exit 0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = subprocess.run([find_redis(settings), "--version"], capture_output=True, text=True, check=True)
    (version,) = re.findall(r"v=(\d+)\.", answer.stdout)
    assert "Valkey" in answer.stdout
    assert int(version) >= 9


def test_without_the_wheel_an_installed_server_is_taken(
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    write_program: Callable[[Path, str], Path],
) -> None:
    installed = write_program(tmp_path / "redis-server", "exit 0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis_server.importlib.util, "find_spec", lambda _: None)
    assert find_redis(settings) == installed


def test_a_platform_without_a_server_is_told_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(redis_server.platform, "machine", lambda: "riscv64")
    with pytest.raises(FraudsimError, match=f"no Redis for {sys.platform} riscv64.*install valkey or redis"):
        find_redis(settings)


@pytest.mark.stack
def test_it_answers_only_to_its_password_which_only_its_user_can_read(
    tmp_path: Path, settings: Settings
) -> None:
    server = RedisServer(tmp_path, find_redis(settings), free_port())
    server.write_config()
    assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(server.part(dict(os.environ)))
        assert poll_until(lambda: redis_answers(server.url), 30)
        assert not redis_answers(f"redis://127.0.0.1:{server.port}/0")
        assert server.password not in supervisor.log("redis").read_text()
    assert server.password not in mask_password(server.url)
    assert mask_password(server.url) == f"redis://:***@127.0.0.1:{server.port}/0"
    assert server.password != RedisServer(tmp_path, server.binary, server.port).password
