"""The commands of docs/deploy.md for a standalone cluster, run as they stand there."""

import os
import re
import shlex
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.stack.ports import free_port
from runner.stack.stack import stack as start_stack
from testing.rigs import worker_lab
from testing.rigs.worker_lab import WorkerLab
from tests.stream_features.offline.spark_mark import needs_spark

ROOT = Path(__file__).parents[4]
PATIENCE_S = 300.0
pytestmark = [
    pytest.mark.stack, pytest.mark.long, needs_spark,
    pytest.mark.skipif(not (ROOT / ".venv/bin/fraudsim").exists(), reason="no .venv: make setup"),
]  # fmt: skip


def commands_of(section):
    """The page's commands under a heading, without comments, one string each."""
    text = (ROOT / "docs/deploy.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    lines = blocks.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*", "", line) for line in lines if line]


@pytest.fixture
def page(tmp_path):
    """Setting, master, worker, our driver, spark-submit, and variables; host and port are this machine's."""
    port = str(free_port())
    commands = [
        command.replace("HOST", "127.0.0.1").replace("7077", port)
        for command in commands_of("A standalone cluster")
    ]
    assert [shlex.split(command)[0].rpartition("/")[2] for command in commands] == [
        "export", "spark-class", "spark-class", "fraudsim", "spark-submit",
    ]  # fmt: skip
    return commands, {
        "SPARK_MASTER_PORT": port,
        "SPARK_MASTER_WEBUI_PORT": "0",
        "SPARK_WORKER_WEBUI_PORT": "0",
        "SPARK_WORKER_DIR": str(tmp_path / "work"),
    }


@contextmanager
def running(command, environment, folder):
    """A command in a shell and a process group of its own."""
    output = folder / f"{len(list(folder.iterdir()))}.log"
    with output.open("wb") as out:
        process = subprocess.Popen(
            ["bash", "-c", command], cwd=ROOT, env=os.environ | environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        yield output
    finally:
        end_group(process)


def end_group(process):
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_both_drivers_of_the_page_fold_the_log(page, tmp_path, monkeypatch):
    (setting, master, worker, *drivers), environment = page
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(worker_lab, "WAIT_S", PATIENCE_S)
    logs = tmp_path / "cluster"
    logs.mkdir()
    with (
        start_stack(tmp_path / "stack", Settings(_env_file=None)) as addresses,
        running(f"{setting}; exec {master}", environment, logs) as master_log,
        running(f"{setting}; exec {worker}", environment, logs),
    ):
        lab = WorkerLab(addresses, tmp_path)
        assert poll_until(lambda: "Registering worker" in master_log.read_text(), PATIENCE_S)
        for driver in drivers:
            lab.send(200)
            process = lab.start(command=("bash", "-c"), options=(f"{setting}; exec {driver}",))
            try:
                lab.check_state()
                lab.send(50)
                lab.check_state()
            finally:
                end_group(process.process)
            text = process.output.read_text()
            assert "Traceback" not in text, text
            assert process.process.returncode in (0, 143), text
