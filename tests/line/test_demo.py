"""`fraudsim demo` and `up`: what they write, and that no process is left however they end."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest

from fraudsim.polling import poll_until

pytestmark = pytest.mark.stack
CONTRACT = {
    "sent", "decided", "lost", "duplicated", "dead_lettered", "seconds", "throughput_tps", "latency_ms",
    "null_latency_ms", "send_delay_ms", "staleness_ms", "speed", "restarts", "actions", "detection",
    "ledger", "model", "versions",
}  # fmt: skip
PERCENTILES = {"p50", "p90", "p99", "p999", "max"}


def start(command, run, prepared, *options):
    argv = [
        sys.executable,
        "-m",
        "fraudsim",
        command,
        "--reuse",
        str(prepared),
        "--out",
        str(run),
        "--cards",
        "800",
    ]
    env = {**os.environ, "FRAUDSIM_RUNS_DIR": str(run.parent / "runs")}
    return subprocess.Popen(
        [*argv, *options], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def processes_of(run):
    """Process ids of a run: those whose arguments or variables contain its folder."""
    pids = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        try:
            text = " ".join(process.info["cmdline"] or []) + " ".join(process.environ().values())
        except psutil.Error:
            continue
        if str(run) in text and process.pid != os.getpid() and process.info["status"] != psutil.STATUS_ZOMBIE:
            pids.append(process.pid)
    return pids


def test_demo_at_500_a_second_loses_nothing_and_writes_the_whole_summary(tmp_path, prepared):
    run = tmp_path / "run"
    demo = start("demo", run, prepared, "--seconds", "5", "--rate", "500")
    output, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, output
    summary = json.loads((run / "summary.json").read_text())
    assert summary.keys() >= CONTRACT
    assert summary["latency_ms"].keys() == summary["null_latency_ms"].keys() == PERCENTILES
    assert summary["send_delay_ms"].keys() == summary["staleness_ms"].keys() == {"p50", "p99"}
    assert summary["detection"].keys() == {"average_precision", "auc", "card_precision_at_100"}
    money = summary["ledger"]
    assert money["view"] == "truth"
    assert money["total"]["payments"]["count"] == summary["sent"]
    kinds = ("fraud_paid_cents", "insult_cents", "friction_cents", "review_cents")
    assert money["net_loss_cents"] == sum(money["total"][kind] for kind in kinds)
    assert (run / "ledger.json").is_file()
    assert (summary["lost"], summary["duplicated"], summary["parity"]["mismatches"]) == (0, 0, 0)
    assert summary["sent"] == summary["decided"] == sum(summary["actions"].values()) > 2_000
    assert None not in summary["latency_ms"].values()
    processes = summary["costs"]["processes"]
    assert processes.keys() >= {"worker", "scorer", "archiver", "labels", "producer", "kafka", "redis"}
    assert all(cost["cpu_us"] > 0 and cost["memory_mb"] > 1 for cost in processes.values())
    assert None not in summary["null_latency_ms"].values()
    assert "null pipeline" in output
    assert (tmp_path / "runs" / "latest").resolve() == run.resolve()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["history"]["fingerprint"] == manifest["clock"][0]["history_fingerprint"]
    assert processes_of(run) == []


@pytest.mark.parametrize(
    ("number", "awaited_file"),
    [
        (signal.SIGINT, "producer.json"),
        pytest.param(signal.SIGTERM, "producer.json", marks=pytest.mark.long),
        (signal.SIGKILL, "logs/labels.log"),  # the last process started before the traffic
        pytest.param(signal.SIGKILL, "producer.json", marks=pytest.mark.long),
    ],
)
def test_nothing_stays_behind(tmp_path, prepared, number, awaited_file):
    run = tmp_path / "run"
    up = start("up", run, prepared, "--rate", "100")
    try:
        assert poll_until((run / awaited_file).exists, 90), up.stdout.read()
        assert len(processes_of(run)) > 5
        up.send_signal(number)
        up.wait(60)
        assert poll_until(lambda: not processes_of(run), 30), processes_of(run)
    finally:
        up.kill()
        up.wait()


def test_a_run_s_folder_is_not_written_over(tmp_path, prepared):
    run = tmp_path / "run"
    (run / "log").mkdir(parents=True)
    demo = start("demo", run, prepared)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert output.startswith("error: --out")
    assert len(output.splitlines()) == 1


def test_a_contradiction_names_the_consistent_value(tmp_path, prepared):
    demo = start("demo", tmp_path / "run", prepared, "--rate", "300", "--speed", "5")
    output, _ = demo.communicate(timeout=90)
    assert demo.returncode == 2
    assert "--speed 5 contradicts --rate 300" in output.replace("\n", " ")
    assert processes_of(tmp_path / "run") == []
