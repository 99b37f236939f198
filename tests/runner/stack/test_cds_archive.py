import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.stack.cds_archive import NAME, CdsArchive
from runner.supervise.supervisor import Supervisor

Write = Callable[[Path, str], Path]


@pytest.fixture
def make(tmp_path: Path, write_program: Write) -> Callable[[str], CdsArchive]:
    """Make the archive with a shell script in place of Java; $1 … are its arguments."""

    def make(script: str) -> CdsArchive:
        java = write_program(tmp_path / "java", script)
        jar = tmp_path / "some.jar"
        jar.write_bytes(b"")
        archive = CdsArchive(tmp_path, java, (jar,), tmp_path / "classes.list")
        archive.class_list.write_text("java/lang/Object\n")
        with Supervisor(tmp_path / "logs") as supervisor:
            supervisor.start(archive.part(dict(os.environ)))
            supervisor.wait(NAME, 10)
        return archive

    return make


def test_a_first_run_lists_its_classes(tmp_path: Path, write_program: Write) -> None:
    archive = CdsArchive(tmp_path, write_program(tmp_path / "java", ""), (), tmp_path / "classes.list")
    assert archive.missing
    assert archive.flags() == [f"-XX:DumpLoadedClassList={tmp_path}/classes.list"]


def test_later_starts_use_the_archive_made_of_it(make: Callable[[str], CdsArchive]) -> None:
    archive = make('for a; do case $a in -XX:SharedArchiveFile=*) echo classes >"${a#*=}";; esac; done\n')
    assert not archive.missing
    assert archive.path.read_text() == "classes\n"
    assert archive.flags() == [f"-XX:SharedArchiveFile={archive.path}"]


def test_a_java_that_cannot_make_one_is_asked_once(make: Callable[[str], CdsArchive]) -> None:
    archive = make("exit 1\n")
    assert not archive.missing
    assert archive.flags() == []


@pytest.mark.parametrize("script", ["kill -TERM $$\n", 'rm "$CLASSES"; exit 1\n'])
def test_a_dump_that_was_cut_short_is_tried_again(make: Callable[[str], CdsArchive], script: str) -> None:
    archive = make(script)
    assert archive.missing


def test_another_java_or_another_jar_needs_another_archive(tmp_path: Path, write_program: Write) -> None:
    first_java, second_java = (write_program(tmp_path / name / "java", "") for name in ("one", "other"))
    archives = [CdsArchive(tmp_path, java, (), tmp_path / "list") for java in (first_java, second_java)]
    assert archives[0].path != archives[1].path
