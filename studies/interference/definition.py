"""The study as the frame takes it: cells, result, report."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from producers.ledger.comparison import Difference, difference_of
from studies.frame.cell_plan import CellPlan, Runs, Size
from studies.frame.definition import Provenance, StudyDefinition
from studies.interference.cell import ArmSums, run_cell
from studies.interference.page import report_of
from studies.interference.plan import (
    ALL_A,
    ALL_B,
    CONDITIONS,
    DESIGNS,
    EVERYTHING,
    FULL,
    MIRROR,
    ONE_DESK_WORLD,
    QUICK,
    REPLAY,
    InterferencePlan,
)  # fmt: skip
from studies.interference.result import DesignFigures, InterferenceResult, WorldLift

PLANS: Final[dict[Size, InterferencePlan]] = {"quick": QUICK, "full": FULL}
MODULES: Final = (
    "studies/interference/cell.py", "studies/interference/plan.py", "lifecycle/experiment/card_assignment.py",
)  # fmt: skip
PER_1_000: Final = 1_000
"""Figures of a run are by card; those of the result by 1,000 cards."""


def study_of(size: Size) -> StudyDefinition[ArmSums, InterferenceResult]:
    """The study of a size."""
    return definition_of(PLANS[size], size)


def definition_of(plan: InterferencePlan, size: Size) -> StudyDefinition[ArmSums, InterferenceResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="interference", arms=plan.arms, conditions=CONDITIONS,
        sizes=[plan.worlds, plan.alert_shares, plan.review_minutes], seeds=plan.seeds,
        most_seeds=plan.most_seeds, run=partial(run_cell, plan), figures=ArmSums, modules=MODULES,
        left_out=plan.left_out,
    )  # fmt: skip
    return StudyDefinition(
        size, cells, _narrow_enough, InterferenceResult, partial(result_of, plan), report_of
    )


def _narrow_enough(runs: Runs[ArmSums], seeds: Sequence[int]) -> bool:
    """Whether the bias between cards is known to a tenth of A's net loss."""
    bias = difference_of(_bias(runs, "by card", EVERYTHING, seeds))
    loss = float(np.mean([runs[ALL_A, EVERYTHING, seed].rate for seed in seeds])) * PER_1_000
    return bias.low is not None and bias.high is not None and (bias.high - bias.low) / 2 <= 0.1 * loss


def _lift(runs: Runs[ArmSums], condition: str, seeds: Sequence[int]) -> list[float]:
    """All B less all A, by seed."""
    return [
        PER_1_000 * (runs[ALL_B, condition, seed].rate - runs[ALL_A, condition, seed].rate) for seed in seeds
    ]


def _estimates(runs: Runs[ArmSums], design: str, condition: str, seeds: Sequence[int]) -> list[float]:
    """What the design says, by seed: the mean of both halves, so that each card is its own control."""
    return [
        PER_1_000
        / 2
        * (runs[design, condition, n].difference + runs[design + MIRROR, condition, n].difference)
        for n in seeds
    ]


def _bias(runs: Runs[ArmSums], design: str, condition: str, seeds: Sequence[int]) -> list[float]:
    estimates, lifts = _estimates(runs, design, condition, seeds), _lift(runs, condition, seeds)
    return [estimate - lift for estimate, lift in zip(estimates, lifts, strict=True)]


def result_of(
    plan: InterferencePlan, runs: Runs[ArmSums], seeds: Sequence[int], provenance: Provenance
) -> InterferenceResult:
    """The study's figures from its runs."""
    pairs = [(design, EVERYTHING) for design in DESIGNS]
    pairs += [("by card", condition) for condition in CONDITIONS if condition != EVERYTHING]
    whole = _bias(runs, "by card", EVERYTHING, seeds)
    removed: dict[str, Difference] = {}
    for condition in CONDITIONS:
        if condition not in (EVERYTHING, ONE_DESK_WORLD):
            without = _bias(runs, "by card", condition, seeds)
            removed[condition] = difference_of([w - o for w, o in zip(whole, without, strict=True)])
    return InterferenceResult(
        provenance=provenance,
        seeds=list(seeds),
        cards=plan.worlds.cards,
        days=plan.worlds.days,
        alert_shares=list(plan.alert_shares),
        loss_of_a=float(np.mean([runs[ALL_A, EVERYTHING, n].rate for n in seeds])) * PER_1_000,
        reviews=float(np.mean([runs[ALL_B, EVERYTHING, n].reviews for n in seeds])),
        designs=[
            DesignFigures(
                design=design,
                condition=condition,
                lift=difference_of(_lift(runs, condition, seeds)),
                estimate=difference_of(_estimates(runs, design, condition, seeds)),
                bias=difference_of(_bias(runs, design, condition, seeds)),
            )
            for design, condition in pairs
        ],
        removed=removed,
        one_desk=difference_of(
            [o - w for w, o in zip(whole, _bias(runs, "by card", ONE_DESK_WORLD, seeds), strict=True)]
        ),
        lifts=[
            WorldLift(
                seed=n,
                offline=PER_1_000 * runs[REPLAY, EVERYTHING, n].offline_gain,
                experiment=_estimates(runs, "by card", EVERYTHING, [n])[0],
                one_half=PER_1_000 * runs["by card", EVERYTHING, n].difference,
                online=_lift(runs, EVERYTHING, [n])[0],
            )
            for n in seeds
        ],
    )
