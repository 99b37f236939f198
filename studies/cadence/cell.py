"""One run of the study of cadence."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fraudsim.settings import Settings
from lifecycle.retraining.triggers import RETRAINING_MINUTES
from producers.scenario.schema import Drift
from producers.world.world import World
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.drifted_traffic import DriftedTraffic, OtherFraud
from simulator.line.scoring import Scoring
from simulator.regimes import REGIMES
from studies.cadence.plan import CadencePlan
from studies.cadence.retrained_line import RetrainedLine, Retrainer
from studies.comparison.figures import MeasuredLine
from studies.frame.cell_plan import StudyCell
from studies.frame.line_figures import run_line
from studies.frame.study_world import study_world


def run_cell(plan: CadencePlan, cell: StudyCell, settings: Settings, scratch: Path) -> MeasuredLine:
    """Run one cell; customers and fraudsters do not react. Raises as `StudyWorld.fit` does."""
    arm, change = plan.arms()[cell.arm], plan.conditions()[cell.condition]
    world = study_world(plan.spec, cell.seed, settings, scratch)
    begin = 7 * plan.change_week
    drifts: tuple[Drift, ...] = ()
    other = None
    if change.amounts != 1:
        ramp = Drift(kind="gradual", from_=f"{begin}d", until=f"{begin + 84}d", amounts=change.amounts)
        drifts = (ramp,)
    if change.world and world.traffic.world is not None:
        parameters: dict[str, Any] = dict(change.world)
        config = replace(world.traffic.world.config, **parameters)
        other = OtherFraud(begin, World(config))
    traffic = DriftedTraffic(**vars(replace(world.traffic, stretch_days=7)), drifts=drifts, other_fraud=other)
    fitted = world.fit(REGIMES["real-time"], arm.fit_seed)
    assert fitted is not None
    policy = load_policy(settings.policy or SHIPPED)
    limits = replace(policy.limits, flag_from_probability=fitted.flag_from)
    scoring = Scoring(fitted.arm, replace(policy, limits=limits), "champion")
    retrainer = Retrainer(world, traffic, arm, scoring, policy)
    figures = run_line(RetrainedLine(traffic, scoring, retrainer, world), REGIMES["real-time"])
    times = retrainer.retrained_ms
    first = next((at for at in times if at > traffic.start_ms + begin * 86_400_000), None)
    measures = {
        "retrainings": float(len(times)),
        "analyst hours": len(times) * RETRAINING_MINUTES / 60,
        "failed": float(retrainer.failed),
        "CPU seconds": retrainer.cpu_s,
    }
    if first is not None:
        measures["weeks to the first after the change"] = (first - traffic.start_ms) / 604_800_000 - begin / 7
    return MeasuredLine(line=figures, measures=measures)
