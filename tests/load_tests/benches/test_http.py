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
from load_tests.benches.http.requests import requests_of
from load_tests.cli import app
from load_tests.rig.open_loop import LoadGenerator


class Server(threading.Thread):
    """Answers each request of each connection, in turn, after a pause."""

    def __init__(self, pause_s: float = 0.0, body: bytes = b'{"score":0.5}') -> None:
        super().__init__(daemon=True)
        self.pause_s, self.body = pause_s, body
        self.asked: list[bytes] = []
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
        """On all who are connected, as servers do on the idle."""
        while self._connections:
            self._connections.pop().shutdown(socket.SHUT_RDWR)

    def answer(self, connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            with self._lock:  # one at a time, as a server of one core
                self.asked.append(data)
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
    server = Server(pause_s=0.02)  # answers fifty a second
    generator = LoadGenerator("127.0.0.1", server.port, 4)
    load = generator.open(MAKE, 0, 100, 1.0)  # is asked a hundred
    generator.close()
    assert load.complete
    # The last was due after 1 s and is answered after 2: what a closed loop would never show.
    assert load.percentile_ms(100) > 500
    assert load.percentile_ms(100) > 5 * load.percentile_ms(1)
    assert len({request for request in server.asked if b"tx_id" in request}) == 50


def test_what_is_spoiled_refused_or_broken_does_not_count() -> None:
    server = Server(body=b'{"score":0.5,"degraded":true}')
    generator = LoadGenerator("127.0.0.1", server.port, 4, spoiled=b'"degraded":true')
    load = generator.closed(MAKE, 0, 2, 0.2)
    assert (load.answered, load.refused.keys(), load.complete) == (0, {200}, False)
    generator.close()
    with pytest.raises(FraudsimError, match=r"no connection to 127\.0\.0\.1:1"):
        LoadGenerator("127.0.0.1", 1, 1)


def test_a_server_that_hangs_up_on_the_idle_loses_no_request_of_the_next_stretch() -> None:
    server = Server()
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
    monkeypatch.setattr(bench_http, "WARM_UP_S", 0.2)
    monkeypatch.setattr(bench_http, "PROBES", 2)
    out = tmp_path / "http.json"
    servers = ["--only", "fraudsim", "--only", "starlette+xgboost"]
    done = CliRunner().invoke(
        app, ["bench", "http", "--json", str(out), *servers, "--seconds", "0.3", "--turns", "1"],
        catch_exceptions=False,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    assert {"cpu", "cores", "versions"} <= report["machine"].keys()
    names = [(each["table"], each["name"]) for each in report["results"]]
    assert names == [(t, n) for t in ("features", "model") for n in ("fraudsim", "starlette+xgboost")]
    assert len(done.output.splitlines()) == len(names)
    for each in report["results"]:
        assert each["closed_per_second"] > 0
        assert each["cpu_us_per_request"] > 0
        assert len(each["ladder"]) == 2
        assert each["p50_ms"] <= each["p99_ms"] <= each["p99_9_ms"]
    stages = report["results"][0]["stages_us"]
    assert stages.keys() == {"received", "state_read", "features", "scored", "decided"}
    assert all("stages_us" not in each for each in report["results"][1:])
    of = {each["name"]: each for each in report["results"] if each["table"] == "model"}
    ratio = report["ratios"]["model"]["starlette+xgboost"]["cpu"]
    wanted = of["starlette+xgboost"]["cpu_us_per_request"] / of["fraudsim"]["cpu_us_per_request"]
    assert ratio == pytest.approx(wanted, rel=0.02)


def test_a_server_that_scores_otherwise_is_not_timed() -> None:
    server = Server(body=b'{"score":0.5}')
    generator = LoadGenerator("127.0.0.1", server.port, 1)
    contestant = http_contestants.CONTESTANTS[1]
    running = bench_http.Running(contestant, 0, None, generator, MAKE, 0.0)  # type: ignore[arg-type]
    bench_http._check(running, [0.5])  # type: ignore[arg-type]
    with pytest.raises(InvariantError, match=r"starlette\+xgboost .* the model's score is 0.6"):
        bench_http._check(running, [0.6])  # type: ignore[arg-type]
    generator.close()


def test_a_rival_that_is_not_installed_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_contestants, "ROOT", tmp_path)
    found, missing = http_contestants.present(http_contestants.CONTESTANTS)
    assert {each.name for each in found} == {"fraudsim", "starlette+xgboost"}
    assert [line.split()[0] for line in missing] == ["fastapi", "mlserver", "bentoml"]
    assert all("`make setup-bench-http`" in line for line in missing)
    with pytest.raises(FraudsimError, match="--only nobody: there are fraudsim"):
        bench_http.bench_http(["nobody"])
