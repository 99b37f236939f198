"""The Locust file, run by Locust: alone by hand, and as a master with workers by `fraudsim load run`."""

import ast
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest

from fraudsim.polling import poll_until
from load_tests import __path__ as load_tests_path
from load_tests.load.arrivals.schedule import schedule_us
from load_tests.load.arrivals.shapes import parse_shape
from load_tests.load.clocks.records import read_records
from runner.stack.ports import free_port
from tests.house.test_rooms import modules
from tests.load_tests.load.servers import serving

LOCUSTFILE = Path(load_tests_path[0]) / "locustfile.py"
FOREIGN = {"asyncio", "uvloop", "kafka", "aiokafka", "confluent_kafka", "faust"}


def two_workers(tmp_path: Path, url: str, *words: str) -> tuple[list[str], Path]:
    (tmp_path / "body.json").write_text("{}")
    out = tmp_path / "out"
    words = ("--workers", "2", "--body", str(tmp_path / "body.json"), "--out", str(out), *words)
    return [sys.executable, "-m", "fraudsim", "load", "run", "--url", url, *words], out


@pytest.mark.long  # the page's test below has the same in short, the lost worker's the same command
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


class Keeping(http.server.BaseHTTPRequestHandler):
    """Keeps the id of every request's transaction, and answers what is no decision."""

    protocol_version = "HTTP/1.1"
    ids: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.ids.append(body["tx_id"])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def keeping():
    Keeping.ids.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keeping)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Page:
    """Locust's page, asked as a browser would."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **form: str) -> dict[str, Any]:
        body = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(self._url + path, body, timeout=10) as answer:
            return json.load(answer)

    def start(self, senders: int, host: str) -> None:
        assert self.ask("/swarm", user_count=str(senders), spawn_rate="100", host=host)["success"]

    def state(self) -> str:
        return self.ask("/stats/requests")["state"]

    def workers(self) -> int:
        try:
            return self.ask("/stats/requests")["worker_count"]
        except OSError:
            return 0  # it does not listen yet

    def rows(self) -> dict[str, tuple[int, int]]:
        """Requests and failures by row."""
        stats = self.ask("/stats/requests")["stats"]
        return {row["name"]: (row["num_requests"], row["num_failures"]) for row in stats}


@pytest.fixture
def page(tmp_path):
    """The page of a master with two workers, which knows no host yet."""
    web, port = free_port(), free_port()
    env = {**os.environ, "FRAUDSIM_LOAD_RATE": "200", "FRAUDSIM_LOAD_SECONDS": "1"}
    master = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(port)]
    master += ["--web-host", "127.0.0.1", "--web-port", str(web)]
    worker = ["--worker", "--master-host", "127.0.0.1", "--master-port", str(port)]
    with (tmp_path / "locust.log").open("wb") as log:
        locusts = [
            subprocess.Popen(
                [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *words],
                env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )
            for words in (master, worker, worker)
        ]  # fmt: skip
    try:
        page = Page(web)
        assert poll_until(lambda: page.workers() == 2, 60)
        yield page
    finally:
        for locust in locusts:
            locust.terminate()
        for locust in locusts:
            locust.wait(30)
    assert "Traceback" not in (tmp_path / "locust.log").read_text()


def test_every_start_from_locusts_page_sends_the_schedule_and_nothing_twice(page, keeping):
    """Users are added while it runs, and a start is stopped by hand; neither touches the schedule."""
    count = len(schedule_us(parse_shape("poisson"), 200, 1, 1))
    page.start(8, keeping)
    assert poll_until(lambda: len(Keeping.ids) > 20, 60)
    page.start(12, keeping)
    assert poll_until(lambda: page.state() == "stopped", 60)
    # The master hears of the workers' last requests a few seconds later. No answer was a decision.
    rows = dict.fromkeys(("/v1/score", "from intended send", "Aggregated"), (count, count))
    assert poll_until(lambda: page.rows() == rows, 60), page.rows()
    page.start(8, keeping)
    assert poll_until(lambda: len(Keeping.ids) > count + 20, 60)
    page.ask("/stop", by="hand")  # a form makes it a POST
    page.start(8, keeping)
    assert poll_until(lambda: page.state() == "running", 60)
    assert poll_until(lambda: page.state() == "stopped", 60)
    sent: dict[str, list[int]] = {}
    for tx_id in Keeping.ids:
        run_id, _, number = tx_id.rpartition("-")
        sent.setdefault(run_id, []).append(int(number))
    first, stopped, last = map(sorted, sent.values())
    assert first == last == list(range(count))
    assert len(stopped) == len(set(stopped)) < count


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
