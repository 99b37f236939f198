"""Bad models at their gates: the quick ones here, all of them on a world of their own in a long test."""

import msgspec
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.backtest.twin_backtest import scoring_of_model
from lifecycle.evidence.money import DifferenceReading
from lifecycle.experiment.fast_forward import ExperimentPlan, run_experiment
from lifecycle.experiment.stages import stages_of
from model.artefact.files import current_versions, load_model
from producers.history.reader import read_history
from producers.labels.consequences import Consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.traffic import traffic_of
from studies.bad_models.cell import run_cell
from studies.bad_models.definition import result_of
from studies.bad_models.gates import ModelWay
from studies.bad_models.page import report_of
from studies.bad_models.plan import GOOD, MODELS, QUICK
from studies.bad_models.result import BadModelsResult
from studies.bad_models.tampering import BAD_MODELS
from studies.frame.cell_plan import StudyCell
from studies.frame.definition import Provenance
from studies.frame.page import markdown, terminal_pages
from tests.lifecycle.conftest import good_model, world_history  # noqa: F401

SETTINGS = Settings(_env_file=None, label_gap_days=3)
ORIGIN = Provenance(study="bad-models", size="quick", code="x", versions=current_versions())


@pytest.mark.parametrize(
    ("name", "problem"),
    [("scores that are no numbers", "is no number"), ("another catalogue", "catalogue_hash")],
)
def test_the_check_refuses_in_one_line(good_model, tmp_path, name, problem):  # noqa: F811
    BAD_MODELS[name](tmp_path, good_model, tmp_path / "bad", SETTINGS)
    with pytest.raises(FraudsimError, match=problem) as refusal:
        load_model(tmp_path / "bad")
    assert "\n" not in str(refusal.value)


def test_a_wrong_calibration_passes_the_check_and_ends_in_the_shadow(
    good_model, world_history, tmp_path  # noqa: F811
):  # fmt: skip
    BAD_MODELS["calibrated wrongly"](tmp_path, good_model, tmp_path / "bad", SETTINGS)
    policy = load_policy(SHIPPED)
    run = run_experiment(
        traffic_of(read_history(world_history), 10),
        scoring_of_model(load_model(good_model), policy),
        scoring_of_model(load_model(tmp_path / "bad"), policy, "challenger"),
        Consequences(),
        ExperimentPlan(stages=stages_of("shadow:10")),
    )
    assert (run.state.status, run.state.stage) == ("rolled back", 0), run.state.guards
    assert "alert rate" in run.state.reason


def way(**fields):
    return ModelWay(**{"check": "passes", "stopped_before_25": False, "stopped_by": "", **fields})


def test_the_page_says_what_was_stopped_and_by_what():
    online = DifferenceReading(difference=12.0, low=-3.0, high=27.0)
    ways = {
        name: way(
            backtest="cannot tell", stage="25 %", status="undecided", days=35, stopped_before_25=True,
            stopped_by="backtest", online=online, cards_of_a=75, cards_of_b=25,
        )
        for name in MODELS
    }  # fmt: skip
    let_through, sick = MODELS[1], MODELS[4]
    ways[let_through] = way(backtest="not worse", stage="25 %", status="undecided", days=35)
    ways[sick] = way(
        backtest="worse", stage="shadow", status="rolled back", days=1, stopped_before_25=True,
        rolled_back_early=True, stopped_by="backtest",
    )  # fmt: skip
    runs = {(name, "usual", seed): one for name, one in ways.items() for seed in (1, 2)}
    result = result_of(QUICK, runs, [1, 2], ORIGIN)
    report = report_of(result)
    assert report.answer[0].startswith("5 of 6 bad models are stopped")
    assert f"let through: {let_through} in 2 of 2" in report.answer[0]
    assert f"{sick} would have been stopped" in report.answer[1]
    text = markdown(report)
    assert "+120.00 (-30.00 to +270.00)" in text
    assert "rolled back in shadow 2" in text
    assert len(terminal_pages(report)) == 3
    result_again = msgspec.json.decode(msgspec.json.encode(result), type=BadModelsResult)
    assert result_again == result


@pytest.mark.long
def test_every_bad_model_is_stopped_before_a_quarter_of_the_cards(tmp_path):
    ways = {name: run_cell(QUICK, StudyCell(name, "usual", 1), SETTINGS, tmp_path) for name in MODELS}
    assert all(way.stopped_before_25 for name, way in ways.items() if name != GOOD), ways
    assert ways[GOOD].status != "rolled back"
