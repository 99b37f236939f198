from pathlib import Path
from types import SimpleNamespace

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.process import disk
from fraudsim.process.disk import explain_disk_errors, require_free_disk
from fraudsim.settings import Settings
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Supervisor


@pytest.fixture
def nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: SimpleNamespace(free=199_000_000))


@pytest.mark.usefixtures("nearly_full")
def test_too_little_room_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(FraudsimError, match=f"only 199 MB are free on the disk of {tmp_path}/new/folder"):
        require_free_disk(tmp_path / "new" / "folder")


@pytest.mark.usefixtures("nearly_full")
def test_a_stack_does_not_start_on_a_full_disk(tmp_path: Path, settings: Settings) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        with pytest.raises(FraudsimError, match=f"the disk of {tmp_path}"):
            start_stack(tmp_path, settings, supervisor)
        assert supervisor.pid("redis") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_on_the_way_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(FraudsimError, match=f"the disk of {tmp_path} is full"),
        explain_disk_errors(tmp_path),
        Path("/dev/full").open("w") as full,
    ):
        full.write("x")


def test_a_folder_that_refuses_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(FraudsimError, match=f"{tmp_path} cannot be written to"),
        explain_disk_errors(tmp_path),
    ):
        raise PermissionError(13, "Permission denied")


def test_other_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), explain_disk_errors(tmp_path):
        (tmp_path / "missing").read_text()
