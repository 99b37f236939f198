"""The study as the frame takes it: cells, result, report."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from lifecycle.evidence.money import CAP_CENTS
from studies.false_wins.cell import MethodTests, ShareTests, run_cell
from studies.false_wins.page import report_of
from studies.false_wins.plan import ALERT_SHARES, FULL, METHODS, QUICK, SHARES, FalseWinsPlan
from studies.false_wins.result import FalseWinsResult, MethodFigures
from studies.frame.cell_plan import CellPlan, Runs, Size
from studies.frame.definition import Provenance, StudyDefinition

PLANS: Final[dict[Size, FalseWinsPlan]] = {"quick": QUICK, "full": FULL}
MODULES: Final = (
    "studies/false_wins/cell.py", "studies/false_wins/pair_losses.py", "studies/false_wins/plan.py",
    "lifecycle/evidence/confidence.py", "lifecycle/experiment/both_arms.py",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[ShareTests, FalseWinsResult]:
    """The study of a size."""
    return definition_of(PLANS[size], size)


def definition_of(plan: FalseWinsPlan, size: Size) -> StudyDefinition[ShareTests, FalseWinsResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="false-wins", arms=SHARES, conditions={"usual": None},
        sizes=[plan.worlds, plan.days, plan.tests, plan.planted_tests, plan.cards], seeds=plan.seeds,
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
    figures = [
        _figures_of(share, method, [runs[share, "usual", seed].methods[method] for seed in seeds])
        for share in SHARES
        for method in METHODS
    ]
    worlds = [runs["50 %", "usual", seed] for seed in seeds]
    return FalseWinsResult(
        provenance=provenance,
        seeds=list(seeds),
        cards=plan.cards,
        days=plan.days,
        days_before=plan.worlds.days - plan.days,
        world_cards=plan.worlds.cards,
        alert_shares=list(ALERT_SHARES),
        cap_cents=CAP_CENTS,
        coefficient_of_variation=float(np.mean([world.coefficient_of_variation for world in worlds])),
        pair_lifts=[world.pair_lift for world in worlds],
        parted=float(np.mean([world.parted for world in worlds])),
        explained=float(np.mean([world.explained for world in worlds])),
        figures=figures,
    )


def _figures_of(share: str, method: str, parts: Sequence[MethodTests]) -> MethodFigures:
    tests = sum(part.tests for part in parts)
    planted = sum(part.planted_tests for part in parts)
    return MethodFigures(
        share=share,
        method=method,
        tests=tests,
        wins=sum(part.wins for part in parts),
        losses=sum(part.losses for part in parts),
        upper_bound=upper_bound(sum(part.wins + part.losses for part in parts), tests),
        naive=sum(part.naive for part in parts) / tests,
        detected={lift: sum(part.detected[lift] for part in parts) / planted for lift in parts[0].detected},
        pair_found=sum(part.pair_found for part in parts) / planted,
        pair_wrong=sum(part.pair_wrong for part in parts) / planted,
        detectable_share=float(np.mean([part.detectable_share for part in parts])),
    )
