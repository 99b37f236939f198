"""Whole experiments over weeks of event time."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lifecycle.backtest.twin_backtest import scoring_of_model
from lifecycle.experiment.fast_forward import ExperimentPlan, run_experiment
from lifecycle.experiment.stages import stages_of
from model.artefact.files import load_model
from producers.history.reader import read_history
from producers.labels.consequences import Consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.line.traffic import traffic_of
from simulator.regimes import REGIMES

POLICY = load_policy(SHIPPED)
RULES = Consequences()


@pytest.fixture(scope="module")
def champion(good_model):
    return load_model(good_model)


def test_a_model_against_itself_goes_through_all_stages(champion, world_history):
    plan = ExperimentPlan(stages=stages_of("shadow:1,5%:3,25%:5"), maturity_days=2.0)
    run = run_experiment(
        traffic_of(read_history(world_history), 12), scoring_of_model(champion, POLICY),
        scoring_of_model(champion, POLICY, "challenger"), RULES, plan,
    )  # fmt: skip
    assert [step.what for step in run.state.steps] == ["begins"] * 3 + ["undecided"]
    assert run.days == 9
    assert "money was not tested" in run.state.reason
    assert run.state.looks == 9
    assert all(not reading.crossed for reading in run.state.guards.values())


def test_a_poor_model_is_rolled_back_before_it_decides_for_a_card(champion, poor_model, world_history):
    plan = ExperimentPlan(stages=stages_of("shadow:3,5%:7,25%:14"))
    run = run_experiment(
        traffic_of(read_history(world_history), 10), scoring_of_model(champion, POLICY),
        scoring_of_model(load_model(poor_model), POLICY, "challenger"), RULES, plan,
    )  # fmt: skip
    assert (run.state.status, run.state.stage) == ("rolled back", 0)
    assert "guard crossed: alert rate" in run.state.reason
    assert run.card_days == (0.0, 0.0)


def test_scores_that_are_no_numbers_roll_back_and_the_champion_decides_meanwhile(champion, world_history):
    no_numbers = SimpleNamespace(predict=lambda rows: np.full(len(rows), np.nan, np.float32))
    sick = scoring_of_model(champion, POLICY, "challenger")
    broken = Scoring(sick.arm._replace(forest=no_numbers), POLICY, "champion")
    traffic = traffic_of(read_history(world_history), 3)
    plan = ExperimentPlan(stages=stages_of("25%:7"))
    run = run_experiment(traffic, scoring_of_model(champion, POLICY), broken, RULES, plan)
    assert run.state.status == "rolled back"
    assert "error rate" in run.state.reason
    alone = SimulatedLine(
        replace(traffic, days=run.days), REGIMES["real-time"], scoring_of_model(champion, POLICY), RULES,
        reacting=True,
    )  # fmt: skip
    for _ in alone.run():
        pass
    assert run.ledger.total == alone.ledger.total


def test_days_may_be_cut_as_they_like(champion, world_history):
    losses = []
    for days in (1, 10):
        traffic = replace(traffic_of(read_history(world_history), 5), stretch_days=days)
        line = SimulatedLine(
            traffic, REGIMES["real-time"], scoring_of_model(champion, POLICY), RULES, reacting=True
        )
        assert len(list(line.run())) == (5 if days == 1 else 1)
        losses.append(line.ledger.total)
    assert losses[0] == losses[1]
