"""A model's way through all gates, each asked whatever the one before said."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from lifecycle.backtest.twin_backtest import scoring_of_model, twin_backtest
from lifecycle.backtest.verdict import MARGIN, Gate, Interval
from lifecycle.evidence.money import DifferenceReading
from lifecycle.experiment.fast_forward import ExperimentPlan, run_experiment
from lifecycle.experiment.lift import lift_row
from model.artefact.files import load_model
from model.artefact.model import Model
from producers.labels.consequences import Consequences
from scorer.policy.policy import Policy
from simulator.line.traffic import SimulatedTraffic

REFUSED: Final = "refused"


class ModelWay(msgspec.Struct, frozen=True, kw_only=True):
    """What each gate said of one model."""

    check: str
    """`passes`, or why it is refused."""
    backtest: str = ""
    """What its exit code says; `refused` where it has none."""
    backtest_gain: Interval | None = None
    replay: DifferenceReading | None = None
    """B's answers to what A decided in the experiment, by the truth."""
    online: DifferenceReading | None = None
    """Net loss in the last stage, as a bank sees it."""
    cards_of_a: int = 0
    cards_of_b: int = 0
    stage: str = ""
    """Where the experiment ended; empty if it could not begin."""
    status: str = ""
    reason: str = ""
    days: int = 0
    """Of event time until it ended."""
    true_excess_cents: float = 0.0
    """By the truth, what B's cards lost more than as many of A's while B decided."""
    stopped_before_25: bool
    stopped_by: str
    """The first gate that stopped it; empty if none did."""
    rolled_back_early: bool = False
    """Whether the experiment alone stopped it before 25 %."""


@dataclass(frozen=True, eq=False)
class GateTrial:
    """What every model is tried on."""

    champion: Model
    traffic: SimulatedTraffic
    policy: Policy
    rules: Consequences
    plan: ExperimentPlan


def way_of(folder: Path, trial: GateTrial) -> ModelWay:
    """Send one model through check, backtest and an experiment."""
    try:
        model = load_model(folder)
    except FraudsimError as error:
        return ModelWay(check=str(error), stopped_before_25=True, stopped_by="check")
    gate, gain = REFUSED, None
    try:
        result = twin_backtest(
            trial.traffic, (trial.champion, model), trial.policy, trial.rules, MARGIN, reacting=True
        )
        gate, gain = Gate(result.gate).name.lower().replace("_", " "), result.difference
    except FraudsimError as error:
        gate = f"{REFUSED}: {error}"
    a = scoring_of_model(trial.champion, trial.policy)
    b = scoring_of_model(model, trial.policy, "challenger")
    run = run_experiment(trial.traffic, a, b, trial.rules, trial.plan)
    state = run.state
    row = lift_row(state, "simulated", run.offline)
    (loss_a, loss_b), (days_a, days_b) = run.true_loss, run.card_days
    early = state.status == "rolled back" and state.current.share < 0.25
    by_backtest = gate != "not worse"  # a gate that cannot tell lets nothing through
    return ModelWay(
        check="passes", backtest=gate, backtest_gain=gain, replay=run.offline.gain, online=row.online,
        cards_of_a=row.cards_of_a, cards_of_b=row.cards_of_b, stage=state.current.name, status=state.status,
        reason=state.reason, days=run.days,
        true_excess_cents=loss_b - loss_a * days_b / days_a if days_a and days_b else 0.0,
        stopped_before_25=early or by_backtest, rolled_back_early=early,
        stopped_by="backtest" if by_backtest else f"stage {state.current.name}" if early else "",
    )  # fmt: skip
