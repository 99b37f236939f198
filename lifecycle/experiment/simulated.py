"""An experiment in event time: it leaves its row in the table of lifts as a live one does."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.backtest.twin_backtest import check_not_seen, scoring_of_model
from lifecycle.experiment.fast_forward import ExperimentPlan, run_experiment
from lifecycle.experiment.lift import LiftRow, append_lift, lift_row
from lifecycle.experiment.stages import Stage
from lifecycle.experiment.state import ExperimentState
from model.artefact.files import load_model
from producers.history.reader import read_history
from producers.world.settings import consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.traffic import traffic_of


class SimulatedExperiment(NamedTuple):
    """What is run on what."""

    a: Path
    b: Path
    history: Path
    stages: tuple[Stage, ...]
    maturity_days: float
    salt: str


def simulate_experiment(
    plan: SimulatedExperiment, registry: Path, settings: Settings, say: Callable[[str], None]
) -> tuple[ExperimentState, LiftRow]:
    """Run it to its end, and append its row.

    Raises:
        FraudsimError: a model, history or policy cannot be used, or the table cannot be written.
    """
    if not registry.is_dir():
        raise FraudsimError(f"--at {registry} is no folder; name the registry whose table gets the row")
    models = load_model(plan.a), load_model(plan.b)
    days = math.ceil(sum(stage.days for stage in plan.stages))
    traffic = traffic_of(read_history(plan.history), days)
    for name, model in zip("AB", models, strict=True):
        check_not_seen(name, model, traffic)
    policy = load_policy(settings.policy or SHIPPED)
    lines: list[str] = []

    def on_look(state: ExperimentState) -> None:
        for step in state.steps[len(lines) :]:
            lines.append(
                f"{step.stage}: {step.what} on day {(step.event_ms - traffic.start_ms) // 86_400_000}"
            )
            say(lines[-1])

    run = run_experiment(
        traffic, scoring_of_model(models[0], policy), scoring_of_model(models[1], policy, "challenger"),
        consequences(settings), ExperimentPlan(plan.salt, plan.stages, plan.maturity_days), on_look,
    )  # fmt: skip
    row = lift_row(run.state, f"simulated, {plan.history}", run.offline)
    if not append_lift(registry, row):
        say("this experiment has its row in the table already")
    return run.state, row
