"""Several processes make the days: the same files, errors in a line, no process left."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from producers.history.parallel_days import days_in_order
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from producers.world_cli import app

CONFIG = WorldConfig(cards=200, fraud_scale=10)
DAYS = 12


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("*.parquet")}


def test_the_files_are_the_same_for_one_worker_and_for_two_and_other_for_another_seed(tmp_path: Path) -> None:
    manifests = {}
    for name, seed, workers in (("one", 3, 1), ("two", 3, 2), ("again", 3, 2), ("other", 4, 2)):
        arguments = ["generate", "--cards", "200", "--days", str(DAYS), "--seed", str(seed)]
        made = CliRunner().invoke(app, [*arguments, "--workers", str(workers), "--out", str(tmp_path / name)])
        assert made.exit_code == 0, made.output
        manifests[name] = read_history(tmp_path / name).manifest
    assert manifests["one"].fingerprint == manifests["two"].fingerprint == manifests["again"].fingerprint
    assert files(tmp_path / "one") == files(tmp_path / "two") == files(tmp_path / "again")
    assert manifests["other"].fingerprint != manifests["one"].fingerprint


def test_days_wait_for_the_writer() -> None:
    world = World(CONFIG)
    with days_in_order(world, 10_000_000, 2) as days:
        assert [next(days).number for _ in range(3)] == [0, 1, 2]
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def kill_one(done: int) -> None:
        pid = multiprocessing.active_children()[0].pid if done == 1 else None
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(FraudsimError, match="worker process died") as caught:
        write_history(tmp_path, World(CONFIG), 200, kill_one, workers=2)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


def test_a_worker_that_raises_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    config = WorldConfig(cards=200)
    object.__setattr__(config, "fraud_scale", float("nan"))
    with pytest.raises(FraudsimError, match=r"worker failed.*ValueError") as caught:
        write_history(tmp_path, World(config), 20, workers=2)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


def test_an_error_of_the_writer_ends_the_workers(tmp_path: Path) -> None:
    def fail(_done: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(FraudsimError, match="No space left"):
        write_history(tmp_path, World(CONFIG), 200, fail, workers=2)
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


@contextmanager
def generating(out: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """`world generate` with two workers in a session of its own, some days after its start."""
    command = [sys.executable, "-m", "fraudsim", "world", "generate", "--cards", "2000", "--days", "20000"]
    with subprocess.Popen(
        [*command, "--workers", "2", "--out", str(out)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            # A row group has been written: the workers are at work.
            unfinished = ".transactions.parquet.*.tmp"
            assert poll_until(lambda: any(f.stat().st_size > 1_000_000 for f in out.glob(unfinished)), 60)
            yield process, psutil.Process(process.pid).children(recursive=True)
        finally:
            if process.poll() is None:
                process.kill()


def test_ctrl_c_leaves_no_process_and_no_history(tmp_path: Path) -> None:
    with generating(tmp_path / "history") as (process, children):
        assert len(children) >= 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process
        assert process.wait(30) != 0
        assert poll_until(lambda: not any(child.is_running() for child in children), 30)
    assert not list((tmp_path / "history").iterdir())


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with generating(tmp_path / "history") as (process, children):
        process.kill()
        assert poll_until(lambda: not any(child.is_running() for child in children), 30)
    assert not (tmp_path / "history" / "manifest.json").exists()
