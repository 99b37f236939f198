"""The HTTP bench: its report, what it does not count, and its load generator's clock."""

import json
import socket
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError, InvariantError
from load_tests.benches.http import bench as bench_http
from load_tests.benches.http import contestants as http_contestants
from load_tests.benches.http import measurement
from load_tests.benches.http.requests import requests_of
from load_tests.benches.http.server import RequestNumbers, RunningServer, check_scores
from load_tests.cli import app
from load_tests.rig.open_loop import LoadGenerator


class FakeServer(threading.Thread):
    """Answers each request of each connection, one at a time, after a pause."""

    def __init__(self, pause_s: float = 0.0, body: bytes = b'{"score":0.5}') -> None:
        super().__init__(daemon=True)
        self.pause_s, self.body = pause_s, body
        self.requests: list[bytes] = []
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            connection, _ = self._server.accept()
            self._connections.append(connection)
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def hang_up(self) -> None:
        """Close every connection, as servers do with idle ones."""
        while self._connections:
            self._connections.pop().shutdown(socket.SHUT_RDWR)

    def answer(self, connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            with self._lock:  # one at a time, as a server of one core
                self.requests.append(data)
                time.sleep(self.pause_s)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.body)}\r\n\r\n"
            connection.sendall(head.encode() + self.body)


MAKE = requests_of("/score", [b'{"tx_id":"bench-000000000000","n":1}', b'{"n":2}'])


def test_each_request_has_a_tx_id_of_its_own_and_its_right_length() -> None:
    for number in (0, 2, 123_456):
        head, _, body = MAKE(number).partition(b"\r\n\r\n")
        assert json.loads(body) == {"tx_id": f"bench-{number:012}", "n": 1}
        assert f"Content-Length: {len(body)}".encode() in head
    assert MAKE(1).endswith(b'\r\n\r\n{"n":2}')


def test_latency_counts_from_the_intended_send_time() -> None:
    server = FakeServer(pause_s=0.02)  # answers fifty a second
    generator = LoadGenerator("127.0.0.1", server.port, 4)
    load = generator.open(MAKE, 0, 100, 1.0)  # is asked a hundred
    generator.close()
    assert load.complete
    # The last was due after 1 s and is answered after 2: what a closed loop would never show.
    assert load.percentile_ms(100) > 500
    assert load.percentile_ms(100) > 5 * load.percentile_ms(1)
    assert len({request for request in server.requests if b"tx_id" in request}) == 50


def test_spoiled_refused_and_broken_answers_do_not_count() -> None:
    server = FakeServer(body=b'{"score":0.5,"degraded":true}')
    generator = LoadGenerator("127.0.0.1", server.port, 4, spoiled=b'"degraded":true')
    load = generator.closed(MAKE, 0, 2, 0.2)
    assert (load.answered, load.refused.keys(), load.complete) == (0, {200}, False)
    generator.close()
    with pytest.raises(FraudsimError, match=r"no connection to 127\.0\.0\.1:1"):
        LoadGenerator("127.0.0.1", 1, 1)


def test_a_server_that_hangs_up_on_the_idle_loses_no_request_of_the_next_stretch() -> None:
    server = FakeServer()
    generator = LoadGenerator("127.0.0.1", server.port, 4)
    for _ in range(2):
        assert generator.open(MAKE, 0, 100, 0.1).complete
        server.hang_up()
        assert generator.closed(MAKE, 0, 4, 0.1).complete
        server.hang_up()
    generator.close()


@pytest.mark.long
def test_ours_and_starlette_are_measured_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "WARM_UP_S", 0.2)
    monkeypatch.setattr(measurement, "PROBES", 2)
    out = tmp_path / "http.json"
    servers = ["--only", "fraudsim", "--only", "starlette+xgboost"]
    outcome = CliRunner().invoke(
        app, ["bench", "http", "--json", str(out), *servers, "--seconds", "0.3", "--turns", "1"],
        catch_exceptions=False,
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    report = json.loads(out.read_text())
    assert {"cpu", "cores", "versions"} <= report["machine"].keys()
    names = [(result["table"], result["name"]) for result in report["results"]]
    assert names == [(t, n) for t in ("features", "model") for n in ("fraudsim", "starlette+xgboost")]
    assert len(outcome.output.splitlines()) == len(names)
    for result in report["results"]:
        assert result["closed_per_second"] > 0
        assert result["cpu_us_per_request"] > 0
        assert len(result["ladder"]) == 2
        assert result["p50_ms"] <= result["p99_ms"] <= result["p99_9_ms"]
    stages = report["results"][0]["stages_us"]
    assert stages.keys() == {"received", "state_read", "features", "scored", "decided"}
    assert all("stages_us" not in result for result in report["results"][1:])
    by_name = {result["name"]: result for result in report["results"] if result["table"] == "model"}
    ratio = report["ratios"]["model"]["starlette+xgboost"]["cpu"]
    expected = by_name["starlette+xgboost"]["cpu_us_per_request"] / by_name["fraudsim"]["cpu_us_per_request"]
    assert ratio == pytest.approx(expected, rel=0.02)


def test_a_server_that_scores_otherwise_is_not_timed() -> None:
    server = FakeServer(body=b'{"score":0.5}')
    generator = LoadGenerator("127.0.0.1", server.port, 1)
    contestant = http_contestants.CONTESTANTS[1]
    running = RunningServer(contestant, 0, None, generator, MAKE, 0.0, RequestNumbers())  # type: ignore[arg-type]
    check_scores(running, [0.5])  # type: ignore[arg-type]
    with pytest.raises(InvariantError, match=r"starlette\+xgboost .* the model's score is 0.6"):
        check_scores(running, [0.6])  # type: ignore[arg-type]
    generator.close()


def test_a_rival_that_is_not_installed_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_contestants, "ROOT", tmp_path)
    installed, missing = http_contestants.present(http_contestants.CONTESTANTS)
    assert {contestant.name for contestant in installed} == {"fraudsim", "starlette+xgboost"}
    assert [line.split()[0] for line in missing] == ["fastapi", "mlserver", "bentoml"]
    assert all("`make setup-bench-http`" in line for line in missing)
    with pytest.raises(FraudsimError, match="--only nobody: there are fraudsim"):
        bench_http.bench_http(["nobody"])
