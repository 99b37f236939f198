"""The Locust file, run by Locust: alone by hand, and as a master with workers by `fraudsim load run`."""

import ast
import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from fraudsim.polling import poll_until
from load_tests import __path__ as load_tests_path
from load_tests.load.arrivals.schedule import schedule_us
from load_tests.load.arrivals.shapes import parse_shape
from load_tests.load.clocks.records import read_records
from tests.house.test_rooms import modules
from tests.load_tests.load.servers import serving

LOCUSTFILE = Path(load_tests_path[0]) / "locustfile.py"
FOREIGN = {"asyncio", "uvloop", "kafka", "aiokafka", "confluent_kafka", "faust"}


def two_workers(tmp_path: Path, url: str, *words: str) -> tuple[list[str], Path]:
    (tmp_path / "body.json").write_text("{}")
    out = tmp_path / "out"
    words = ("--workers", "2", "--body", str(tmp_path / "body.json"), "--out", str(out), *words)
    return [sys.executable, "-m", "fraudsim", "load", "run", "--url", url, *words], out


def test_a_master_and_two_workers_send_the_schedule_and_nothing_twice(tmp_path):
    with serving("ok") as server:
        command, out = two_workers(tmp_path, server.url, "--rate", "200", "--seconds", "3", "--seed", "5")
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    parts = [read_records(out / f"records-{index}.bin") for index in range(2)]
    numbers = np.sort(np.concatenate([part["number"] for part in parts]))
    schedule = schedule_us(parse_shape("poisson"), 200, 3, 5)
    assert numbers.tolist() == list(range(len(schedule)))
    assert abs(len(parts[0]) - len(parts[1])) <= 1
    # All by one clock: each is intended at the start and its time in the schedule.
    for part in parts:
        starts = part["intended_us"] - schedule[part["number"]]
        assert len(set(starts.tolist())) == 1
        assert starts[0] == parts[0]["intended_us"][0] - schedule[parts[0]["number"][0]]
    result = json.loads((out / "result.json").read_text())
    assert result["scheduled"] == result["completed"] == len(schedule)
    assert result["generator"]["workers"] == 2


def test_a_lost_worker_invalidates_the_run(tmp_path):
    with serving("ok") as server:
        command, out = two_workers(tmp_path, server.url, "--rate", "100", "--seconds", "4")
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        records = out / "records-1.bin"
        assert poll_until(lambda: records.exists() and records.stat().st_size > 1_000, 60)
        workers = [p for p in psutil.Process(run.pid).children() if "--worker" in p.cmdline()]
        workers[0].kill()
        stdout, stderr = run.communicate(timeout=120)
    result = json.loads((out / "result.json").read_text())
    assert (run.returncode, result["verdict"]) == (3, "not measured"), stdout + stderr
    assert "1 of 2 workers" in result["why"]


def test_by_hand_it_counts_from_the_intended_send_in_a_row_of_its_own(tmp_path):
    # The server answers what is no decision: every request is a failure, and no exception.
    env = {**os.environ, "FRAUDSIM_LOAD_RATE": "100", "FRAUDSIM_LOAD_SECONDS": "60"}
    with serving("ok") as server:
        words = ("--headless", "-u", "20", "-r", "20", "--only-summary", "--csv", str(tmp_path / "load"))
        host = server.url.removesuffix("/x")
        locust = subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *words, "--host", host],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        stats = tmp_path / "load_stats.csv"

        def rows() -> dict[str, dict[str, str]]:
            if not stats.exists():
                return {}
            with stats.open(newline="") as file:
                return {row["Name"]: row for row in csv.DictReader(file)}

        try:
            assert poll_until(
                lambda: int(rows().get("from intended send", {}).get("Request Count", 0)) >= 200, 60
            )
            locust.send_signal(signal.SIGTERM)
            output, _ = locust.communicate(timeout=60)
        finally:
            locust.kill()
    assert "Traceback" not in output
    counts = {name: int(row["Request Count"]) for name, row in rows().items()}
    assert counts["/v1/score"] == counts["from intended send"] == counts["Aggregated"]
    assert counts["/v1/score"] == int(rows()["/v1/score"]["Failure Count"])
    assert (tmp_path / "load_exceptions.csv").read_text().count("\n") <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRAUDSIM_LOAD_RATE", "many"),
        ("FRAUDSIM_LOAD_RATE", "0"),
        ("FRAUDSIM_LOAD_ARRIVALS", "tides"),
        ("FRAUDSIM_LOAD_PLAN", "/none"),
    ],
)
def test_a_variable_that_holds_no_plan_is_named_in_one_line(name, value, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--host", "http://127.0.0.1:1"],
        env={**os.environ, name: value}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode != 0
    assert len(errors) == 1
    assert value in errors[0]
    assert "Traceback" not in done.stderr


def test_what_locust_imports_is_nothing_that_gevent_must_not_patch():
    """Of every module of ours that the file leads to."""
    reached, waiting = set(), [LOCUSTFILE]
    by_name = modules()
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        for name in top_imports(path):
            module = name if name in by_name else name.rpartition(".")[0]
            if module in by_name:
                waiting.append(by_name[module])
    wrong = {
        f"{path}: {name}" for path in reached for name in top_imports(path) if name.split(".")[0] in FOREIGN
    }
    assert not wrong
    assert len(reached) > 12


def top_imports(path: Path) -> list[str]:
    """Imports outside of functions: those inside are made by what Locust does not call."""
    names = []
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Import):
            names += [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names += [f"{statement.module}.{alias.name}" for alias in statement.names]
    return names
