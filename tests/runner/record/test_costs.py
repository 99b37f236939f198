"""What processes take, measured on one that works and one that sleeps."""

import os
import socket
import subprocess
import sys
import time

import pytest

from runner.record.costs import CostMeter, cpu_s, process_tree
from runner.record.wire_bytes import tcp_connections

WORK = """
import time
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
print(1, flush=True)
time.sleep(60)
"""


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_work_is_counted_where_it_is_done_and_over_a_restart() -> None:
    busy, idle = start(WORK), start("import time; time.sleep(60)")
    pids: dict[str, int | None] = {"busy": busy.pid, "idle": idle.pid, "away": None}
    again = None
    try:
        meter = CostMeter(lambda: pids)
        assert busy.stdout is not None
        busy.stdout.readline()
        meter.sample(0.0)
        costs = meter.costs()
        assert 0.2 < costs["busy"].cpu_s < 2
        assert costs["idle"].cpu_s < 0.2
        assert "away" not in costs
        assert costs["busy"].memory_mb > 3
        again = start(WORK)
        pids["busy"] = again.pid
        assert again.stdout is not None
        again.stdout.readline()
        meter.sample(0.0)
        assert meter.costs()["busy"].cpu_s > costs["busy"].cpu_s + 0.4
        report = meter.as_json(100)
        assert report["processes"]["busy"]["cpu_us"] == round(1e4 * meter.costs()["busy"].cpu_s, 1)
    finally:
        for process in (busy, idle, *([again] if again else [])):
            process.kill()
            process.wait()


def test_the_time_of_ended_children_is_counted_where_it_is_asked_for() -> None:
    program = (
        f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {WORK.replace('60', '0')!r}])"
    )
    parent = start(program + "; print(1, flush=True); time.sleep(60)")
    try:
        assert parent.stdout is not None
        parent.stdout.readline()  # the child's
        parent.stdout.readline()
        tree = process_tree(parent.pid)
        assert cpu_s(tree, with_ended=True) > cpu_s(tree) + 0.4
    finally:
        parent.kill()
        parent.wait()


SEND = """
import socket, sys
sink = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for _ in range(40):
    sink.sendall(b"x" * 25_000)
print(1, flush=True)
sys.stdin.read()
"""


def test_bytes_over_tcp_are_counted_for_who_sends_and_who_receives() -> None:
    if tcp_connections() is None:
        pytest.skip("the system does not count the bytes of a connection")
    with socket.create_server(("127.0.0.1", 0)) as server:
        pids: dict[str, int | None] = {"here": os.getpid(), "sender": None}
        meter = CostMeter(lambda: pids)
        command = [sys.executable, "-c", SEND, str(server.getsockname()[1])]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        pids["sender"] = sender.pid
        try:
            taken, _ = server.accept()
            with taken:
                received = 0
                while received < 1_000_000:
                    received += len(taken.recv(1 << 16))
                assert sender.stdout is not None
                sender.stdout.readline()
                meter.sample(0.0)
            costs = meter.costs()
            meter.sample(0.0)  # a connection that was closed since still counts
            assert meter.costs()["here"].received_bytes >= costs["here"].received_bytes
        finally:
            sender.kill()
            sender.wait()
        assert costs["sender"].sent_bytes == pytest.approx(1_000_000, abs=4)  # the handshake counts as one
        assert 999_000 < costs["here"].received_bytes < 1_100_000  # other tests' connections may be open here
        assert costs["sender"].received_bytes == pytest.approx(0, abs=4)
        assert costs["sender"].as_json(1_000, 1.0)["sent_bytes"] == pytest.approx(1_000, abs=1)


def test_without_the_systems_counters_bytes_over_tcp_are_unknown(monkeypatch) -> None:
    monkeypatch.setattr("runner.record.costs.tcp_connections", lambda: None)
    meter = CostMeter(lambda: {"here": os.getpid()})
    meter.sample(0.0)
    cost = meter.costs()["here"]
    assert (cost.sent_bytes, cost.received_bytes) == (None, None)
    assert cost.as_json(10, 1.0)["sent_bytes"] is None


def test_a_sample_that_comes_too_soon_is_not_taken() -> None:
    asked = []
    meter = CostMeter(lambda: asked.append(time.monotonic()) or {})
    meter.sample(60.0)
    assert len(asked) == 1
