"""The page's process: its address, a port that is taken, and a run that goes on without it."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.line.line import Line
from runner.line.options import LineOptions
from runner.supervise.supervisor import Supervisor
from tests.dashboards.page.served_page import Client

AWAY = {"FRAUDSIM_KAFKA_BOOTSTRAP": "127.0.0.1:1", "FRAUDSIM_REDIS_URL": "redis://127.0.0.1:1/0"}


def start(folder, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "fraudsim", "page", "--run", str(folder)],
        env={**os.environ, **AWAY, **variables}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_without_a_line_it_serves_says_what_is_missing_and_stops_in_order(tmp_path):
    process = start(tmp_path, FRAUDSIM_PAGE_PORT="0")
    try:
        lines = (json.loads(line) for line in process.stderr)
        address = next(line["address"] for line in lines if line["event"] == "page")
        port, key = address.removeprefix("http://127.0.0.1:").split("/?key=")
        assert len(key) >= 32
        client = Client(int(port))

        def names_kafka():
            reply = client.get("/", key=key)
            return reply.status == 200 and "FRAUDSIM_KAFKA_BOOTSTRAP=127.0.0.1:1" in reply.body

        assert poll_until(names_kafka, 40, every_s=0.2)
        with client.events() as (status, _):
            assert status == 401, "another key"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def test_a_port_that_is_taken_is_named_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path, FRAUDSIM_PAGE_PORT=str(port))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert f"FRAUDSIM_PAGE_PORT={port} is in use" in errors.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.parametrize(("name", "goes_on"), [("page", True), ("scorer", False)])
def test_a_run_goes_on_without_the_page_and_not_without_a_scorer(tmp_path, monkeypatch, name, goes_on):
    monkeypatch.setattr(Supervisor, "failed", {name: f"{name} was given up"})
    polls = iter([False, False, True])
    with Line(LineOptions(tmp_path / "run", page=True), Settings(_env_file=None)) as line:
        if goes_on:
            line.wait_for("the third time", lambda: next(polls), 10)
            return
        with pytest.raises(FraudsimError, match="scorer was given up"):
            line.wait_for("the third time", lambda: next(polls), 10)


def test_a_key_that_does_not_fit_into_an_address_is_refused():
    with pytest.raises(ValueError, match="other than letters"):
        Settings(_env_file=None, page_key="a key&")
