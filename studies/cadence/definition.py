"""The study of cadence: its cells, and what it says."""

from dataclasses import asdict
from functools import partial
from typing import Final

from lifecycle.retraining.triggers import RETRAINING_MINUTES
from studies.cadence.cell import run_cell
from studies.cadence.plan import FULL, NEVER, NULL, ORACLE, QUICK, CadencePlan
from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import MeasuredLine, effect_of
from studies.comparison.page import money, money_difference
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition

QUESTION: Final = "When does retraining pay?"
MODULES: Final = (
    "studies/cadence/cell.py", "studies/cadence/plan.py", "studies/cadence/retrained_line.py",
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
        run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=NEVER, null=NULL, contrasts=plan.contrasts(), width=0.1
    )
    return comparison_study(size, comparison, STORY)


def answer(result: ComparisonResult) -> list[str]:
    """In sentences."""
    texts = []
    for condition in dict.fromkeys(row.condition for row in result.rows):
        rows = [row for row in result.rows if row.condition == condition]
        base = next(row for row in rows if row.arm == NEVER)
        parts = [
            f"{row.arm} {money_difference(effect_of(result.effects, f'{row.arm}, {condition}').difference)} "
            f"({row.measures['retrainings']:.1f} retrainings)"
            for row in rows
            if row.arm not in (NEVER, NULL)
        ]
        texts.append(
            f"{condition.capitalize()}: without retraining the net loss is {money(base.net_loss)} per 1,000 "
            f"cards and week. Against that: {'; '.join(parts)}."
        )
    return texts


def surprises(result: ComparisonResult) -> list[str]:
    """Where even the oracle gains nothing that is told from chance."""
    texts = []
    for condition in dict.fromkeys(row.condition for row in result.rows):
        effect = effect_of(result.effects, f"{ORACLE}, {condition}")
        if not effect.holds:
            texts.append(
                f"{condition.capitalize()}: even a model trained each week on the truth is not told from one "
                f"that is never trained again ({money_difference(effect.difference)})."
            )
    return texts


STORY: Final = Story(
    question=QUESTION,
    answer=answer,
    set_up=(
        "Weeks of the fast-forward. Between two weeks a trigger may ask for a new model, which learns from "
        "the payments of the last 75 days and from the labels that the line has heard by then: late, and "
        "only of what its decisions let be seen. It decides at once, without gate and shadow. The oracle is "
        "trained each week on the truth of the weeks before. A retraining takes "
        f"{RETRAINING_MINUTES:g} minutes of an analyst, whatever the number of cards, so it is stated beside "
        "the net loss, and not within it: that is what is sacrificed for the gain."
    ),
    limits=(
        "The oracle retrains weekly, not daily.",
        "Small worlds: what a retraining costs does not grow with cards, what it gains does.",
        "Fraudsters do not react to the new model.",
    ),
    surprises=surprises,
)
