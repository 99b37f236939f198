"""Files and folders appear whole, or what was there stays."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from fraudsim import whole_files
from fraudsim.whole_files import (
    STALE_S,
    resumed_folder,
    sweep_leftovers,
    whole_file,
    whole_folder,
    write_whole,
)


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


def test_a_folder_s_predecessor_is_kept_and_only_that(tmp_path):
    path, previous = tmp_path / "policy", tmp_path / "policy.previous"
    for name in ("first", "second", "third"):
        with whole_folder(path, previous=previous) as temporary:
            (temporary / name).touch()
    assert (names(path), names(previous)) == (["third"], ["second"])
    assert names(tmp_path) == ["policy", "policy.previous"]


def test_an_interrupted_folder_is_gone_on_with(tmp_path):
    path = tmp_path / "jars"

    def download(name, error=None):
        with resumed_folder(path) as partial:
            (partial / name).touch()
            if error is not None:
                raise error

    with pytest.raises(KeyboardInterrupt):
        download("a", KeyboardInterrupt())
    assert not path.exists()
    download("b")
    assert names(path) == ["a", "b"]
    assert names(tmp_path) == ["jars"]


KILLED = """
import sys, time
from pathlib import Path
from fraudsim.whole_files import whole_file, whole_folder
with whole_file(Path(sys.argv[1]) / "a.json"), whole_folder(Path(sys.argv[1]) / "model") as folder:
    (folder / "half").touch()
    print("writing", flush=True)
    time.sleep(60)
"""


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    left = sorted(tmp_path.iterdir())
    assert len(left) == 2
    write_whole(tmp_path / "b.json", "")
    assert set(left) < set(tmp_path.iterdir()), "somebody may still write it"
    for path in left:
        age(path, STALE_S + 60)
    monkeypatch.setattr(whole_files, "_swept_at_s", {})  # as the next process
    write_whole(tmp_path / "c.json", "")
    assert names(tmp_path) == ["b.json", "c.json"]


def test_nothing_else_is_swept(tmp_path):
    kept = [".hidden", ".a.tmp", "a.12345678.tmp", ".a.1234567.tmp", ".only.old.abcdefgh"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / "model").mkdir()
    (tmp_path / ".model.old.abcdefgh").mkdir()  # its successor is there
    for path in tmp_path.iterdir():
        age(path, 10 * STALE_S)
    assert sweep_leftovers(tmp_path) == 1
    assert names(tmp_path) == sorted([*kept, "model"])
    assert sweep_leftovers(tmp_path / "absent") == 0


def test_a_folder_is_not_looked_through_at_every_write(tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(whole_files, "sweep_leftovers", swept.append)
    for n in range(5):
        write_whole(tmp_path / f"{n}.json", "")
    assert swept == [tmp_path]
