import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.jars.maven_jars import ensure_jars
from fraudsim.jars.pins import PinnedJar, read_pins
from runner.stack.kafka_jars import PINS, resolve_paths


@pytest.fixture
def pins(repository: Any) -> list[PinnedJar]:
    return [repository.add(name, name.encode() * 1000) for name in ("left", "right")]


def test_the_pinned_jars_are_downloaded_once(repository: Any, pins: list[PinnedJar], tmp_path: Path) -> None:
    first = ensure_jars(pins, tmp_path / "cache" / "jars", "two jars")
    request_count = len(repository.requests)
    assert [jar.name for jar in first] == ["left-1.0.jar", "right-1.0.jar"]
    assert ensure_jars(pins, tmp_path / "cache" / "jars", "two jars") == first
    assert len(repository.requests) == request_count


def test_off_a_terminal_a_download_says_one_line_at_its_start_and_end(
    pins: list[PinnedJar], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ensure_jars(pins, tmp_path / "jars", "two jars")
    start, end = capfd.readouterr().err.splitlines()
    assert start == "downloading two jars (2 jars) …"
    assert end.startswith("downloaded two jars: 2 jars")


def test_two_processes_that_download_at_once_share_one_download(
    repository: Any, pins: list[PinnedJar], tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path, PurePosixPath\n"
        "from fraudsim.jars.maven_jars import ensure_jars\nfrom fraudsim.jars.pins import PinnedJar\n"
        f"pins = [PinnedJar(PurePosixPath(p), s) for p, s in {[(str(p.path), p.sha256) for p in pins]!r}]\n"
        f"ensure_jars(pins, Path({str(tmp_path / 'jars')!r}), 'two jars')\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    assert sum(path.endswith("left-1.0.jar") for path in repository.requests) == 1
    assert len(ensure_jars(pins, tmp_path / "jars", "two jars")) == 2


def test_an_interrupted_download_goes_on_with_what_is_missing(
    repository: Any, pins: list[PinnedJar], tmp_path: Path
) -> None:
    missing = PinnedJar(pins[1].path.with_name("other-1.0.jar"), "0" * 64)
    with pytest.raises(FraudsimError, match=r"other-1\.0\.jar"):
        ensure_jars([pins[0], missing], tmp_path / "jars", "two jars")
    repository.requests.clear()
    ensure_jars(pins, tmp_path / "jars", "two jars")
    assert not any(path.endswith("left-1.0.jar") for path in repository.requests)


def test_a_download_with_another_sum_is_refused_and_not_kept(
    repository: Any, pins: list[PinnedJar], tmp_path: Path
) -> None:
    (repository.root / pins[0].path).write_bytes(b"something else")
    with pytest.raises(FraudsimError, match=r"left-1\.0\.jar was downloaded with SHA-256"):
        ensure_jars(pins, tmp_path / "jars", "two jars")
    assert not (tmp_path / "jars").exists()


def test_a_failed_download_is_one_line_with_the_next_step(
    pins: list[PinnedJar], tmp_path: Path, use_repository: Callable[[str], None]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    use_repository(f"http://127.0.0.1:{port}")
    with pytest.raises(FraudsimError, match=r"cannot download left-1\.0\.jar.*check the network") as error:
        ensure_jars(pins, tmp_path / "jars", "two jars")
    assert "\n" not in str(error.value)


def test_a_corrupted_jar_is_refused(pins: list[PinnedJar], tmp_path: Path) -> None:
    jar, _ = ensure_jars(pins, tmp_path / "jars", "two jars")
    jar.write_bytes(b"corrupt" * 1000)
    with pytest.raises(FraudsimError, match=r"left-1\.0\.jar has SHA-256 .* delete the folder"):
        ensure_jars(pins, tmp_path / "jars", "two jars")


def test_a_touched_jar_is_hashed_again_and_accepted(pins: list[PinnedJar], tmp_path: Path) -> None:
    jar, _ = ensure_jars(pins, tmp_path / "jars", "two jars")
    jar.write_bytes(jar.read_bytes())
    assert ensure_jars(pins, tmp_path / "jars", "two jars")


def test_a_missing_jar_is_refused(pins: list[PinnedJar], tmp_path: Path) -> None:
    jar, _ = ensure_jars(pins, tmp_path / "jars", "two jars")
    jar.unlink()
    with pytest.raises(FraudsimError, match=r"left-1\.0\.jar is missing: delete the folder"):
        ensure_jars(pins, tmp_path / "jars", "two jars")


def test_a_jar_too_many_is_refused(pins: list[PinnedJar], tmp_path: Path) -> None:
    jar, _ = ensure_jars(pins, tmp_path / "jars", "two jars")
    (jar.parent / "stranger.jar").write_bytes(b"")
    with pytest.raises(FraudsimError, match=r"stranger\.jar is not among the committed jars"):
        ensure_jars(pins, tmp_path / "jars", "two jars")


@pytest.mark.long
def test_the_committed_list_is_what_the_resolver_says(tmp_path: Path) -> None:
    assert sorted(str(pin.path) for pin in read_pins(PINS)) == resolve_paths(tmp_path)
