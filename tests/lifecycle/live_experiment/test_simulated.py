"""`model experiment simulate` and the table that it fills."""

from typer.testing import CliRunner, Result

from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from lifecycle.experiment.lift import read_lifts


def experiment(*words: object) -> Result:
    words = ("model", "experiment", *words)
    return CliRunner().invoke(build(), [str(word) for word in words], env={"COLUMNS": "80"})


def test_a_simulated_experiment_leaves_its_row_once(good_model, poor_model, world_history, tmp_path):
    words = ("simulate", good_model, poor_model, "--history", world_history, "--at", tmp_path)
    stages = ("--stages", "shadow:2,5%:2")
    ended = experiment(*words, *stages)
    assert ended.exit_code == 1, ended.output
    assert "shadow: rolled back on day 1" in ended.output
    (row,), _ = read_lifts(tmp_path)
    assert (row.status, row.stage, row.online) == ("rolled back", "shadow", None)
    assert (row.offline.method, row.source) == ("replay", f"simulated, {world_history}")
    assert row.offline.gain.low > 0  # it takes every large amount for fraud
    assert "has its row in the table already" in experiment(*words, *stages).output
    shown = experiment("lifts", "--at", tmp_path).output
    assert shown.count("rolled back in shadow") == 1


def test_what_cannot_be_simulated_is_said_in_one_line(good_model, poor_model, world_history, tmp_path):
    words = ("simulate", good_model, poor_model, "--history", world_history)
    missing = experiment(*words, "--at", tmp_path / "nowhere")
    assert isinstance(missing.exception, FraudsimError)
    assert "is no folder; name the registry" in str(missing.exception)
    age = experiment(*words, "--at", tmp_path, "--maturity", "-1")
    assert "--maturity -1 must be 0 or more" in str(age.exception)
    assert experiment("lifts", "--at", tmp_path).output == "no experiment has ended: the table is empty\n"
    assert "is no folder" in str(experiment("lifts", "--at", tmp_path / "nowhere").exception)
