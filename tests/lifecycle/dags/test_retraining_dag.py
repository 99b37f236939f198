"""The DAG of a retraining: its tasks are the steps; run by Airflow itself, killed in mid-step, run again."""

import ast
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import psutil
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from lifecycle.retraining.job import jobs_in, one_at_a_time
from lifecycle.retraining.steps import FEATURES, NAMES
from model.registry.versions import read_aliases
from tests.house.test_rooms import ROOT
from tests.lifecycle.conftest import ARCHIVE
from tests.lifecycle.retraining.test_retrain import assert_registered_once

DAG_FILE = ROOT / "lifecycle" / "dags" / "retraining.py"
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
LIMIT_S = 900
by_airflow = pytest.mark.skipif(not AIRFLOW.exists(), reason="no .venv-airflow: make setup-airflow")


def test_its_tasks_are_the_steps_and_it_imports_nothing_of_ours():
    tree = ast.parse(DAG_FILE.read_text())
    assigned = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(assigned["STEPS"]) == NAMES
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if not name.startswith("airflow.")} == {"datetime", "pathlib"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Airflow with a database of its own."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        **os.environ, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAG_FILE.parent), "FRAUDSIM_LABEL_GAP_DAYS": "1",
    }  # fmt: skip
    subprocess.run([AIRFLOW, "db", "migrate"], env=env, check=True, capture_output=True, timeout=LIMIT_S)
    return env


def start(environment, run, log):
    command = str(Path(sys.executable).with_name("fraudsim"))
    conf = {"command": command, "run": str(run), "models": str(run / "models")}
    return subprocess.Popen(
        [AIRFLOW, "dags", "test", "retraining", "--conf", json.dumps(conf)],
        env=environment, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "a run's folder; with $(signs)"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@by_airflow
@pytest.mark.long
@pytest.mark.parametrize("killed", ["nothing", "worker", "worker and command"])
def test_killed_in_mid_step_and_run_again_it_registers_one_model(environment, run, tmp_path, killed):
    before, work = read_aliases(run / "models").champion, run / "retraining"
    with (tmp_path / "log").open("wb") as log:
        if killed != "nothing":
            worker = start(environment, run, log)
            assert poll_until(lambda: list(work.glob(f"*/{FEATURES}")), LIMIT_S), (
                tmp_path / "log"
            ).read_text()
            commands = psutil.Process(worker.pid).children(recursive=True)
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(LIMIT_S)
            if killed == "worker and command":
                for command in commands:
                    command.kill()
            psutil.wait_procs(commands, LIMIT_S)
            assert poll_until(lambda: is_free(work), LIMIT_S)
            (job,) = jobs_in(work)
            assert job.result is None, "it was in mid-way"
        again = start(environment, run, log)
        assert again.wait(LIMIT_S) == 0, (tmp_path / "log").read_text()
    assert_registered_once(run, before)


def is_free(work):
    try:
        with one_at_a_time(work):
            return True
    except FraudsimError:
        return False
