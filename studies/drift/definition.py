"""The study as the frame takes it."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from studies.drift.cell import DriftFigures, run_cell
from studies.drift.page import report_of
from studies.drift.plan import FULL, NONE, QUICK, DriftPlan, scenarios
from studies.drift.result import DriftResult
from studies.drift.statistics import detections, false_alarms
from studies.frame.cell_plan import CellPlan, Runs, Size
from studies.frame.definition import Provenance, StudyDefinition

PLANS: Final[dict[Size, DriftPlan]] = {"quick": QUICK, "full": FULL}
LINE: Final = "line"
"""The only arm: every detector sees the same run."""
MODULES: Final = ("dashboards/drift", "studies/drift/cell.py", "studies/drift/plan.py")


def study_of(size: Size) -> StudyDefinition[DriftFigures, DriftResult]:
    """The study of a size."""
    return definition_of(PLANS[size], size)


def definition_of(plan: DriftPlan, size: Size) -> StudyDefinition[DriftFigures, DriftResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="drift", arms={LINE: None}, conditions=scenarios(plan.weeks_after), sizes=plan,
        seeds=plan.seeds, most_seeds=plan.seeds, first_seed=plan.first_seed,
        run=partial(run_cell, plan), figures=DriftFigures, modules=MODULES,
    )  # fmt: skip
    return StudyDefinition(size, cells, lambda _, __: True, DriftResult, partial(result_of, plan), report_of)


def result_of(
    plan: DriftPlan, runs: Runs[DriftFigures], seeds: Sequence[int], provenance: Provenance
) -> DriftResult:
    """The study's figures from its runs."""
    changes = [name for name in scenarios(plan.weeks_after) if name != NONE]
    return DriftResult(
        provenance=provenance,
        seeds=list(seeds),
        cards=plan.cards,
        quiet_weeks=plan.quiet_weeks,
        weeks_after=plan.weeks_after,
        false_alarms=false_alarms(runs, seeds, LINE),
        detections=detections(runs, seeds, LINE, changes),
    )
