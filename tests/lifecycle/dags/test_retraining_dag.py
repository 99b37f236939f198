"""The DAG of a retraining: its tasks are the steps; run by Airflow itself, killed in mid-step, run again."""

import ast

import pytest

from lifecycle.retraining.steps import NAMES
from tests.house.test_rooms import ROOT

DAG_FILE = ROOT / "lifecycle" / "dags" / "retraining.py"
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "airflow"
by_airflow = [
    pytest.mark.long,
    pytest.mark.skipif(not AIRFLOW.exists(), reason=f"no {AIRFLOW.relative_to(ROOT)}: make setup-airflow"),
]


def test_its_tasks_are_the_steps_and_it_imports_nothing_of_ours():
    tree = ast.parse(DAG_FILE.read_text())
    (steps,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "STEPS"
    )
    assert steps == NAMES
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if not name.startswith("airflow.")} == {"datetime", "pathlib"}
