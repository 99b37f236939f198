"""The study as the frame takes it: cells, result, report."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from studies.bad_models.cell import run_cell
from studies.bad_models.gates import ModelWay
from studies.bad_models.page import report_of
from studies.bad_models.plan import FULL, MODELS, QUICK, BadModelsPlan
from studies.bad_models.result import BadModelsResult, WaysOfModel
from studies.frame.cell_plan import CellPlan, Runs, Size
from studies.frame.definition import Provenance, StudyDefinition

PLANS: Final[dict[Size, BadModelsPlan]] = {"quick": QUICK, "full": FULL}
MODULES: Final = (
    "lifecycle/backtest", "lifecycle/evidence", "lifecycle/experiment", "studies/bad_models/cell.py",
    "studies/bad_models/gates.py", "studies/bad_models/plan.py", "studies/bad_models/tampering.py",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[ModelWay, BadModelsResult]:
    """The study of a size."""
    plan = PLANS[size]
    cells = CellPlan(
        study="bad-models", arms=dict.fromkeys(MODELS), conditions={"usual": None},
        sizes=[plan.cards, plan.history_days, plan.stages], seeds=plan.seeds, most_seeds=plan.seeds,
        run=partial(run_cell, plan), figures=ModelWay, modules=MODULES,
    )  # fmt: skip
    return StudyDefinition(size, cells, lambda *_: True, BadModelsResult, partial(result_of, plan), report_of)


def result_of(
    plan: BadModelsPlan, runs: Runs[ModelWay], seeds: Sequence[int], provenance: Provenance
) -> BadModelsResult:
    """The ways of all models."""
    return BadModelsResult(
        provenance=provenance,
        seeds=list(seeds),
        cards=plan.cards,
        stages=plan.stages,
        models=[
            WaysOfModel(name=name, ways=[runs[name, "usual", seed] for seed in seeds]) for name in MODELS
        ],
    )
