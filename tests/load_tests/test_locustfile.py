"""The Locust file, run by Locust: against a server, against one that answers nonsense, against nobody."""

import csv
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fraudsim.polling import poll_until
from load_tests import __path__ as load_tests_path

CSV_INTERVAL_S = 1.0


LOCUSTFILE = Path(load_tests_path[0]) / "locustfile.py"
RATE = 200
USERS = 20
INTERVAL_S = USERS / RATE
SLACK = 20
"""Requests that a user may make up for at once, after a pause of the machine."""
ROWS = ("/v1/score", "from intended send", "Aggregated")


class Server(ThreadingHTTPServer):
    """Answers every POST with the next of some bodies, and notes when each connection asked."""

    daemon_threads = True

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.bodies = itertools.cycle(bodies)
        self.lock = threading.Lock()
        self.arrivals: list[tuple[int, float]] = []
        """(client's port, monotonic time): a user of Locust keeps its connection."""
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.arrivals.append((self.client_address[1], time.monotonic()))
            body = next(self.server.bodies)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(*bodies: bytes) -> Iterator[Server]:
    server = Server(bodies)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Outcome(NamedTuple):
    code: int
    output: str
    rows: dict[str, dict[str, str]]
    exceptions: list[str]

    def count(self, row: str, column: str = "Request Count") -> int:
        return int(self.rows[row][column])


def rows_in(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["Name"]: row for row in csv.DictReader(file)}


def run(folder: Path, port: int, enough: Callable[[], bool]) -> Outcome:
    """Run Locust until there is enough, while it still adds users; then stop it."""
    words = (
        "-f", str(LOCUSTFILE), "--headless", "-u", str(USERS), "-r", "4", "--only-summary",
        "--host", f"http://127.0.0.1:{port}", "--csv", str(folder / "load"),
    )  # fmt: skip
    with (folder / "output").open("w") as output:
        locust = subprocess.Popen(
            [sys.executable, "-m", "locust", *words],
            env={**os.environ, "FRAUDSIM_LOAD_RATE": str(RATE)}, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            assert poll_until(lambda: enough() or locust.poll() is not None, 60)
            # Locust writes its figures once a second, and not at its end.
            stopwatch = time.monotonic()
            assert poll_until(
                lambda: locust.poll() is not None or time.monotonic() > stopwatch + 2 * CSV_INTERVAL_S, 60
            )
            locust.send_signal(signal.SIGTERM)
            locust.wait(60)
        finally:
            locust.kill()
            locust.wait()
    exceptions = (folder / "load_exceptions.csv").read_text().splitlines()[1:]
    return Outcome(
        locust.returncode, (folder / "output").read_text(), rows_in(folder / "load_stats.csv"), exceptions
    )


def test_while_users_are_added_each_request_counts_once_and_is_sent_when_due(tmp_path: Path) -> None:
    with serving(b'{"action":"approve"}') as server:
        outcome = run(tmp_path, server.server_address[1], lambda: len(server.arrivals) >= 100)
    assert outcome.code == 0, outcome.output
    counts = [outcome.count(row) for row in ROWS]
    assert counts == [counts[0]] * 3
    assert 100 - USERS <= counts[0] <= len(server.arrivals)
    assert float(outcome.rows["from intended send"]["Min Response Time"]) >= 0
    # No user has more than its share of the rate, whoever else is there.
    first_s = server.arrivals[0][1]
    sent: dict[int, int] = {}
    for port, arrived_s in server.arrivals:
        sent[port] = sent.get(port, 0) + 1
        assert sent[port] <= (arrived_s - first_s) / INTERVAL_S + 1 + SLACK


def assert_all_failed(outcome: Outcome) -> None:
    assert outcome.code == 1
    for row in ROWS:
        assert 0 < outcome.count(row) == outcome.count(row, "Failure Count"), outcome.output
    assert outcome.exceptions == []
    assert "Traceback" not in outcome.output


def test_an_answer_that_is_no_decision_is_a_failure(tmp_path: Path) -> None:
    bodies = b"", b"<html>", b"[]", b'{"action":"maybe"}'
    with serving(*bodies) as server:
        outcome = run(tmp_path, server.server_address[1], lambda: len(server.arrivals) >= 4 * len(bodies))
    assert_all_failed(outcome)


def test_a_target_that_is_not_there_is_reported(tmp_path: Path) -> None:
    def has_requests() -> bool:
        rows = rows_in(tmp_path / "load_stats.csv")
        return int((rows.get("Aggregated") or {}).get("Request Count") or 0) > 0

    with socket.socket() as closed:  # bound, so nobody else takes it, and not listening
        closed.bind(("127.0.0.1", 0))
        outcome = run(tmp_path, closed.getsockname()[1], has_requests)
    assert_all_failed(outcome)
    assert "refused" in (tmp_path / "load_failures.csv").read_text()


@pytest.mark.parametrize("rate", ["many", "0", "-1", "nan", "inf", ""])
def test_a_rate_that_is_none_is_named(rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = LOCUSTFILE.read_text()
    start = source.index("def load_rate")
    names: dict[str, object] = {"os": os}
    exec(source[start : source.index("RATE: Final", start)], names)
    monkeypatch.setenv("FRAUDSIM_LOAD_RATE", rate)
    with pytest.raises(SystemExit, match=f"FRAUDSIM_LOAD_RATE={rate}: "):
        names["load_rate"]()  # type: ignore[operator]
