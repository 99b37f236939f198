"""The study of cadence: its cells, and what it says."""

from dataclasses import asdict
from functools import partial
from typing import Final

from studies.cadence.cell import run_cell
from studies.cadence.plan import FULL, NEVER, NULL, QUICK, CadencePlan
from studies.cadence.story import STORY
from studies.comparison.definition import ComparisonPlan, ComparisonResult, comparison_study
from studies.comparison.figures import MeasuredLine
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition

MODULES: Final = (
    "studies/cadence/cell.py", "studies/cadence/evidence.py", "studies/cadence/plan.py",
    "studies/cadence/retrained_line.py", "studies/drift/cell.py",
    "studies/comparison/figures.py", "lifecycle/retraining", "dashboards/drift",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size."""
    return study_by(FULL if size == "full" else QUICK, size)


def study_by(plan: CadencePlan, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan."""
    arms = {
        name: {"trigger": asdict(arm.trigger), "truth": arm.truth, "fit_seed": arm.fit_seed}  # type: ignore[call-overload]
        for name, arm in plan.arms().items()
    }
    cells = CellPlan(
        study="cadence", arms=arms, conditions={n: asdict(c) for n, c in plan.conditions().items()},
        sizes=[asdict(plan.spec), plan.change_week], seeds=plan.seeds, most_seeds=plan.most_seeds,
        run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES, first_seed=plan.first_seed,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=NEVER, null=NULL, contrasts=plan.contrasts(), width=0.1
    )
    return comparison_study(size, comparison, STORY)
