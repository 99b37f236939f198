"""The study as the frame takes it: cells, result, report."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from studies.false_wins.cell import ShareTests, run_cell
from studies.false_wins.page import report_of
from studies.false_wins.plan import FULL, LIFTS, QUICK, SHARES, FalseWinsPlan
from studies.false_wins.result import FalseWinsResult, ShareFigures
from studies.frame.cell_plan import CellPlan, Runs, Size
from studies.frame.definition import Provenance, StudyDefinition

PLANS: Final[dict[Size, FalseWinsPlan]] = {"quick": QUICK, "full": FULL}
MODULES: Final = (
    "studies/false_wins/cell.py", "studies/false_wins/plan.py", "lifecycle/experiment/confidence.py",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[ShareTests, FalseWinsResult]:
    """The study of a size."""
    return definition_of(PLANS[size], size)


def definition_of(plan: FalseWinsPlan, size: Size) -> StudyDefinition[ShareTests, FalseWinsResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="false-wins", arms=SHARES, conditions={"usual": None},
        sizes=[plan.worlds, plan.tests, plan.planted_tests, plan.cards], seeds=plan.seeds,
        most_seeds=plan.seeds, run=partial(run_cell, plan), figures=ShareTests, modules=MODULES,
    )  # fmt: skip
    return StudyDefinition(size, cells, lambda *_: True, FalseWinsResult, partial(result_of, plan), report_of)


def upper_bound(events: int, tests: int) -> float:
    """Upper end of the two-sided 95 % interval of a share (Clopper and Pearson 1934).

    >>> round(upper_bound(100, 2_000), 4)
    0.0605
    """
    from scipy.stats import beta

    return 1.0 if events == tests else float(beta.ppf(0.975, events + 1, tests - events))


def result_of(
    plan: FalseWinsPlan, runs: Runs[ShareTests], seeds: Sequence[int], provenance: Provenance
) -> FalseWinsResult:
    """The sums over worlds."""
    shares = []
    for name in SHARES:
        parts = [runs[name, "usual", seed] for seed in seeds]
        tests = sum(part.tests for part in parts)
        wrong = sum(part.wins + part.losses for part in parts)
        planted = sum(part.planted_tests for part in parts)
        shares.append(
            ShareFigures(
                share=name,
                tests=tests,
                wins=sum(part.wins for part in parts),
                losses=sum(part.losses for part in parts),
                upper_bound=upper_bound(wrong, tests),
                naive=sum(part.naive for part in parts) / tests,
                detected={
                    f"{lift:.0%}": sum(part.detected[f"{lift:.0%}"] for part in parts) / planted
                    for lift in LIFTS
                },
                detectable_share=float(np.mean([part.detectable_share for part in parts])),
            )
        )
    variations = [runs["50 %", "usual", seed].coefficient_of_variation for seed in seeds]
    return FalseWinsResult(
        provenance=provenance,
        seeds=list(seeds),
        cards=plan.cards,
        days=plan.worlds.days,
        world_cards=plan.worlds.cards,
        coefficient_of_variation=float(np.mean(variations)),
        shares=shares,
    )
