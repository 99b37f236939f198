"""Bad models at their gates: the quick ones here, all of them on a world of their own in a long test."""

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.backtest.twin_backtest import scoring_of_model
from lifecycle.experiment.fast_forward import ExperimentPlan, run_experiment
from lifecycle.experiment.stages import stages_of
from model.artefact.files import load_model
from producers.history.reader import read_history
from producers.labels.consequences import Consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.traffic import traffic_of
from studies.bad_models import study
from studies.bad_models.tampering import BAD_MODELS
from tests.lifecycle.conftest import good_model, world_history  # noqa: F401

SETTINGS = Settings(_env_file=None, label_gap_days=3)


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


@pytest.mark.long
def test_every_bad_model_is_stopped_before_a_quarter_of_the_cards(tmp_path):
    result = study.study(tmp_path, SETTINGS, study.BadModelsPlan(cards=600))
    ways = {way.name: way for way in result.ways}
    assert all(way.stopped_before_25 for name, way in ways.items() if name != study.GOOD), ways
    assert ways[study.GOOD].status != "rolled back"
