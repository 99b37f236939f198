from collections.abc import Callable
from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.jars.java_version import java_version
from runner.stack.java import find_java


@pytest.fixture
def java_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_program: Callable[[Path, str], Path]
) -> Callable[[str], None]:
    """Set JAVA_HOME to a Java that says it is of the given version."""

    def use(version: str) -> None:
        write_program(tmp_path / "bin" / "java", f"echo 'openjdk version \"{version}\" 2020-01-01' >&2\n")
        monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    return use


def test_without_java_home_the_java_of_the_wheel_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert java_version(find_java()) >= 17


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.2"])
def test_a_new_enough_java_home_is_taken(
    version: str, tmp_path: Path, java_home: Callable[[str], None]
) -> None:
    java_home(version)
    assert find_java() == tmp_path / "bin" / "java"


@pytest.mark.parametrize(("version", "major"), [("11.0.2", "11"), ("1.8.0_402", "8")])
def test_a_java_home_that_is_too_old_is_named_with_its_version(
    version: str, major: str, tmp_path: Path, java_home: Callable[[str], None]
) -> None:
    java_home(version)
    with pytest.raises(FraudsimError, match=f"JAVA_HOME={tmp_path} is Java {major}, too old") as error:
        find_java()
    assert "\n" not in str(error.value)


def test_a_java_home_without_java_is_named_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(FraudsimError, match=f"JAVA_HOME={tmp_path} has no working bin/java: point"):
        find_java()
