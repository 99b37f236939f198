"""One run of the study of value."""

from pathlib import Path

from fraudsim.settings import Settings
from studies.comparison.figures import MeasuredLine
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import study_world
from studies.value.plan import ValuePlan


def run_cell(plan: ValuePlan, cell: StudyCell, settings: Settings, scratch: Path) -> MeasuredLine:
    """Run one cell. Raises as `StudyWorld.fit` does.

    Measures: `payments` of 1,000 cards in a week, and the share of them that are fraud, percent.
    """
    arm, spec = plan.arms()[cell.arm], plan.spec_at(cell.condition)
    world = study_world(spec, cell.seed, settings, scratch)
    line = world.decide(arm.regime, world.fit(arm.regime, arm.fit_seed))
    frauds = sum(item.payments for item in line.typologies.values())
    measures = {
        "payments": line.decisions / (spec.cards / 1_000) / (spec.days / 7),
        "fraud rate": 100 * frauds / line.decisions,
    }
    return MeasuredLine(line=line, measures=measures)
