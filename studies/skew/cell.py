"""One run of the study of skew."""

from pathlib import Path

import numpy as np

from fraudsim.settings import Settings
from simulator.line.scoring import scores_of_rows
from studies.comparison.figures import MeasuredLine
from studies.comparison.ranking import RankedPayments
from studies.frame.cell_plan import StudyCell
from studies.frame.file_world import world_of
from studies.frame.study_world import ALERT_SHARE, FittedArm, StudyWorld
from studies.skew.plan import SkewArm, SkewPlan


def run_cell(plan: SkewPlan, cell: StudyCell, settings: Settings, scratch: Path) -> MeasuredLine:
    """Run one cell. Raises as `StudyWorld.fit` does."""
    arm = plan.arms()[cell.arm]
    world = world_of(plan.spec, cell.seed, settings, scratch)
    fitted = world.fit(arm.trained, arm.fit_seed)
    assert fitted is not None
    if arm.new_bar:
        fitted = with_new_bar(world, fitted, arm)
    ranking = RankedPayments()
    figures = world.decide(arm.serves, fitted, note=ranking.add)
    return MeasuredLine(line=figures, measures=ranking.measures())


def with_new_bar(world: StudyWorld, fitted: FittedArm, arm: SkewArm) -> FittedArm:
    """The same model, with the bar that flags `ALERT_SHARE` of the payments with features as served."""
    rows = world.dataset.calibration
    scores = scores_of_rows(fitted.arm.forest, world.vectors(arm.serves)[rows])
    bar = float(np.quantile(scores, 1 - ALERT_SHARE))
    return FittedArm(fitted.arm, fitted.arm.calibration.probability(bar))
