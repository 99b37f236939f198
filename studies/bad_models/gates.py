"""A model's way through all gates, each asked whatever the one before said."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from lifecycle.backtest.twin_backtest import scoring_of_model, twin_backtest
from lifecycle.backtest.verdict import MARGIN, Gate
from lifecycle.experiment.fast_forward import ExperimentPlan, run_experiment
from model.artefact.files import load_model
from model.artefact.model import Model
from producers.labels.consequences import Consequences
from scorer.policy.policy import Policy
from simulator.line.traffic import SimulatedTraffic

REFUSED: Final = "refused"


class ModelWay(msgspec.Struct, frozen=True, kw_only=True):
    """What each gate said of one model."""

    name: str
    check: str
    """`passes`, or why it is refused."""
    backtest: str
    backtest_text: str
    stage: str
    """Where the experiment ended; empty if it could not begin."""
    status: str
    reason: str
    days: int
    """Of event time until it ended."""
    true_excess_cents: float
    """By the truth, what B's cards lost more than as many of A's while B decided."""
    stopped_before_25: bool
    stopped_by: str
    """The first gate that stopped it."""


@dataclass(frozen=True, eq=False)
class GateTrial:
    """What every model is tried on."""

    champion: Model
    traffic: SimulatedTraffic
    policy: Policy
    rules: Consequences
    plan: ExperimentPlan


def way_of(name: str, folder: Path, trial: GateTrial, on_step: Callable[[str], None]) -> ModelWay:
    """Send one model through check, backtest and an experiment."""
    on_step(f"{name}: check")
    try:
        model = load_model(folder)
    except FraudsimError as error:
        return _way(name, check=str(error), stopped_by="check")
    on_step(f"{name}: backtest")
    gate, text = REFUSED, ""
    try:
        result = twin_backtest(
            trial.traffic, (trial.champion, model), trial.policy, trial.rules, MARGIN, reacting=True
        )
        gate, text = Gate(result.gate).name.lower().replace("_", " "), result.difference.text
    except FraudsimError as error:
        text = str(error)
    on_step(f"{name}: experiment")
    a = scoring_of_model(trial.champion, trial.policy)
    b = scoring_of_model(model, trial.policy, "challenger")
    run = run_experiment(trial.traffic, a, b, trial.rules, trial.plan)
    state = run.state
    (loss_a, loss_b), (days_a, days_b) = run.true_loss, run.card_days
    excess = loss_b - loss_a * days_b / days_a if days_a and days_b else 0.0
    stopped = state.status == "rolled back" and state.current.share < 0.25
    by_backtest = gate != "not worse"  # a gate that cannot tell lets nothing through
    return _way(
        name, check="passes", backtest=gate, backtest_text=text, stage=state.current.name,
        status=state.status, reason=state.reason, days=run.days, excess=excess,
        stopped=stopped or by_backtest,
        stopped_by="backtest" if by_backtest else f"stage {state.current.name}" if stopped else "",
    )  # fmt: skip


def _way(
    name: str, *, check: str, stopped_by: str, backtest: str = "", backtest_text: str = "", stage: str = "",
    status: str = "", reason: str = "", days: int = 0, excess: float = 0.0, stopped: bool = True,
) -> ModelWay:  # fmt: skip
    return ModelWay(
        name=name, check=check, backtest=backtest, backtest_text=backtest_text, stage=stage, status=status,
        reason=reason, days=days, true_excess_cents=excess, stopped_before_25=stopped, stopped_by=stopped_by,
    )  # fmt: skip
