"""`fraudsim load run` against servers of programmed latency, as somebody else would run it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from fraudsim.polling import poll_until
from load_tests.load.clocks.records import read_records
from tests.load_tests.load.servers import FAIL_EVERY, PERIOD_S, STALL_S, TAIL_EVERY, TAIL_S, serving

PAUSE_MS = 25
"""What a busy machine may add to a quantile of a tail."""
EXIT = {"met": 0, "measured": 0, "missed": 1, "not measured": 3}


def load_run(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    body = out.with_suffix(".json")
    body.write_text('{"amount": 1}')
    return subprocess.run(
        [sys.executable, "-m", "fraudsim", "load", "run", "--out", str(out), "--body", str(body), *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def result_of(out: Path, done: subprocess.CompletedProcess[str]) -> dict:
    assert "Traceback" not in done.stderr
    assert (out / "result.json").exists(), done.stdout + done.stderr
    result = json.loads((out / "result.json").read_text())
    assert done.returncode == EXIT[result["verdict"]], result["why"]
    return result


def test_a_server_that_stalls_shows_its_stall_from_the_intended_send_and_not_to_few_connections(tmp_path):
    words = (
        "--rate",
        "200",
        "--seconds",
        str(int(2 * PERIOD_S)),
        "--arrivals",
        "constant",
        "--connections",
        "4",
    )
    with serving("stall") as server:
        result = result_of(tmp_path / "out", load_run(tmp_path / "out", "--url", server.url, *words))
    assert (result["scheduled"], result["sent"], result["completed"], result["errors"]) == (
        800,
        800,
        800,
        0,
    )
    assert result["server_ms"] is None
    # What each request had to wait, from its intended time and the stalls, by arithmetic.
    records = read_records(tmp_path / "out" / "records-0.bin")
    phases_ms = (records["intended_us"] - server.started_us) / 1000 % (1000 * PERIOD_S)
    waits_ms = np.where(phases_ms >= 1000 * (PERIOD_S - STALL_S), 1000 * PERIOD_S - phases_ms, 0)
    measured_ms = (records["completed_us"] - records["intended_us"]) / 1000
    assert (measured_ms - waits_ms).min() > -2  # not one is shorter than it must be
    for name, q in (("p99", 0.99), ("p999", 0.999)):
        truth_ms = np.quantile(waits_ms, q, method="inverted_cdf")
        assert result["from_intended_ms"][name] > 0.98 * truth_ms
        if result["verdict"] == "measured":  # else this machine was too busy to say more
            assert result["from_intended_ms"][name] == pytest.approx(truth_ms, rel=0.02, abs=PAUSE_MS)
    # Four connections send four requests into a stall; the others do not show there.
    assert result["blocked"] > 80
    stalled = records[waits_ms > 0]
    sent_into_it = stalled["sent_us"] - stalled["intended_us"] < 1000
    assert sent_into_it.sum() < len(stalled) / 5
    assert result["blocked"] == int((records["free_us"] > records["intended_us"]).sum())


def test_a_tail_is_measured_and_reported(tmp_path):
    words = ("--rate", "200", "--seconds", "3", "--p99", "1s", "--errors", "20%")
    with serving("tail") as server:
        done = load_run(tmp_path / "out", "--url", server.url, *words)
    result = result_of(tmp_path / "out", done)
    assert result["from_intended_ms"]["p99"] >= 980 * TAIL_S
    if result["verdict"] != "not measured":  # else this machine was too busy to say more
        assert result["from_intended_ms"]["p99"] == pytest.approx(1000 * TAIL_S, rel=0.02, abs=PAUSE_MS)
        assert result["from_intended_ms"]["p50"] < 1000 * TAIL_S / 2
    assert result["errors"] == pytest.approx(result["sent"] / FAIL_EVERY, abs=2)
    assert list(result["error_kinds"]) == ["500: {}"]
    assert result["completed"] == result["sent"]
    slow = read_records(tmp_path / "out" / "records-0.bin")
    slow = slow[slow["completed_us"] - slow["sent_us"] >= 1e6 * TAIL_S]
    assert len(slow) >= result["sent"] // TAIL_EVERY
    assert set(result["from_intended_ms"]) == {"p50", "p90", "p99", "p999", "max"}
    assert set(result["throughput"]) == {"intended", "sent", "completed"}
    page = (tmp_path / "out" / "report.html").read_text()
    for part in (
        "Latency by percentile",
        "Latency over time",
        "Throughput",
        "Waterfall",
        "The slowest",
        "Conditions",
    ):
        assert part in page
    assert "<script" not in page
    assert (
        "http" not in page.replace("http://www.w3.org", "").replace(server.url, "").split("<h2>Conditions")[0]
    )
    lines = (tmp_path / "out" / "from_intended.hgrm").read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin processes")
def test_a_starved_generator_is_refused(tmp_path):
    core = min(os.sched_getaffinity(0))
    spin = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"]
    body, out = tmp_path / "body.json", tmp_path / "out"
    body.write_text("{}")
    words = ["load", "run", "--rate", "120", "--seconds", "3", "--p99", "50ms", "--body", str(body)]
    with serving("ok") as server:
        command = [sys.executable, "-m", "fraudsim", *words, "--url", server.url, "--out", str(out)]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        records = out / "records-0.bin"
        assert poll_until(lambda: records.exists() and records.stat().st_size > 1_000, 60)
        busy = subprocess.Popen(spin)
        try:
            # Starved from here on: to start it so would take minutes.
            for child in psutil.Process(run.pid).children(recursive=True):
                child.cpu_affinity([core])
                os.sched_setscheduler(child.pid, os.SCHED_OTHER, os.sched_param(0))
                child.nice(19)
            stdout, stderr = run.communicate(timeout=90)
        finally:
            busy.kill()
            busy.wait()
    result = result_of(out, subprocess.CompletedProcess(command, run.returncode, stdout, stderr))
    assert (run.returncode, result["verdict"]) == (3, "not measured")
    assert "the generator" in result["why"]


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    out, body = tmp_path / "out", tmp_path / "body.json"
    body.write_text("{}")
    with serving("ok") as server:
        words = [
            "--url",
            server.url,
            "--rate",
            "100",
            "--seconds",
            "60",
            "--out",
            str(out),
            "--body",
            str(body),
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "fraudsim", "load", "run", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        records = out / "records-0.bin"
        assert poll_until(lambda: records.exists() and records.stat().st_size > 20_000, 60)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    result = json.loads((out / "result.json").read_text())
    assert result["partial"] is True
    assert 100 < result["sent"] <= result["scheduled"] < 5000
    assert "stopped after" in result["why"]
    assert process.returncode == EXIT[result["verdict"]]


def test_bad_input_is_one_line(tmp_path):
    with (
        socket.socket() as closed,
        serving("ok") as foreign,
        serving("refuses") as refuses,
        serving("token") as token,
    ):
        closed.bind(("127.0.0.1", 0))
        absent = f"http://127.0.0.1:{closed.getsockname()[1]}"
        body = ["--body", str(tmp_path / "body.json")]
        (tmp_path / "body.json").write_text("{}")
        (tmp_path / "empty.json").write_text("")
        common = ["--rate", "10", "--seconds", "1"]
        cases = [
            (["--url", absent, *common], "nothing answers there"),
            (["--url", foreign.url, *common], "is not fraudsim's"),
            (["--url", token.url, *common], "it wants a token (401); set FRAUDSIM_HTTP_TOKEN"),
            (["--url", refuses.url, *body, *common], "answers 400 to the first request"),
            (["--url", foreign.url, *body, "--rate", "0", "--seconds", "1"], "--rate 0 must be above 0"),
            (["--url", foreign.url, *body, *common, "--p99", "fast"], "takes a number"),
            (["--url", "http://192.0.2.1/", *body, *common], "--allow-host 192.0.2.1"),
            (["--url", "ftp://127.0.0.1", *body, *common], "name an address such as"),
            (["--url", foreign.url, "--body", str(tmp_path / "empty.json"), *common], "it is empty"),
            (["--url", foreign.url, "--body", str(tmp_path / "none"), *common], "No such file"),
            (common, "--url URL, or --stream"),
        ]
        command = [sys.executable, "-m", "fraudsim", "load", "run", "--out", str(tmp_path / "out")]
        runs = [
            subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for words, _ in cases
        ]
        for (words, expected), run in zip(cases, runs, strict=True):
            _, stderr = run.communicate(timeout=60)
            assert run.returncode == 2, words
            assert expected in stderr
            assert stderr.startswith("error: ")
            assert stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
