"""Files and folders appear whole, or what was there stays."""

import os
import stat

import pytest

from fraudsim.whole_files import whole_file, whole_folder, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path):
    path = tmp_path / "Müller, 1.json"
    write_whole(path, "first")
    write_whole(path, "zweite Fassung: ü")
    assert path.read_text(encoding="utf-8") == "zweite Fassung: ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names(tmp_path) == [path.name]


def test_a_secret_is_never_readable_by_others(tmp_path):
    path = tmp_path / "password"
    with whole_file(path, 0o600) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_exception_the_file_is_as_before(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("before")

    def write_half():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path):
    with whole_folder(tmp_path / "run") as temporary:
        (temporary / "a").write_text("1")
        assert not (tmp_path / "run").exists()
    assert names(tmp_path / "run") == ["a"]
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o755


def test_a_folder_that_is_there_stays(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "old").touch()
    with pytest.raises(OSError, match=r"not empty|exists"), whole_folder(tmp_path / "run") as temporary:
        (temporary / "new").touch()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == ["old"]


def test_a_folder_that_is_to_be_replaced_is(tmp_path):
    path = tmp_path / "model"
    for name in ("first", "second"):
        with whole_folder(path, replace=True) as temporary:
            (temporary / name).touch()
    assert names(path) == ["second"]
    assert names(tmp_path) == ["model"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path, monkeypatch):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    rename = os.rename

    def fail(source, target):
        if str(source).endswith(".tmp"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="No space"), whole_folder(path, replace=True) as temporary:
        (temporary / "new").touch()
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]
