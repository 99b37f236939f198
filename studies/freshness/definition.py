"""The study as the frame takes it: cells, result, report."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from producers.ledger.comparison import difference_of
from simulator.regimes import span
from studies.frame.cell_plan import CellPlan, Runs, Size
from studies.frame.definition import Provenance, StudyDefinition
from studies.frame.line_figures import PARTS, LineFigures
from studies.frame.paired import Control, controls_of, half_width, paired
from studies.freshness.cell import run_cell
from studies.freshness.page import report_of
from studies.freshness.plan import FRESH, FULL, NULL, QUICK, SPREAD_OF, FreshnessPlan
from studies.freshness.result import FreshnessResult, Sawtooth
from studies.freshness.statistics import arm_cells, common_curve, knees, typology_cells

PLANS: Final[dict[Size, FreshnessPlan]] = {"quick": QUICK, "full": FULL}
MODULES: Final = ("studies/freshness/cell.py", "studies/freshness/plan.py")


def study_of(size: Size) -> StudyDefinition[LineFigures, FreshnessResult]:
    """The study of a size."""
    return definition_of(PLANS[size], size)


def definition_of(plan: FreshnessPlan, size: Size) -> StudyDefinition[LineFigures, FreshnessResult]:
    """The study of a plan."""
    arms, tempos = plan.arms(), {f"{tempo:g}": tempo for tempo in plan.tempos}
    aside = {tempo for tempo in tempos if float(tempo) not in plan.spread_tempos}
    cells = CellPlan(
        study="freshness", arms=arms, conditions=tempos, sizes=plan.worlds, seeds=plan.seeds,
        most_seeds=plan.most_seeds, run=partial(run_cell, plan), figures=LineFigures, modules=MODULES,
        left_out=frozenset((arm, tempo) for arm in plan.delays for tempo in aside),
    )  # fmt: skip
    return StudyDefinition(
        size, cells, partial(_narrow_enough, plan), FreshnessResult, partial(result_of, plan), report_of
    )


def net_loss(figures: LineFigures) -> float:
    """Cents per 1,000 cards and week."""
    return figures.net_loss_rate


def _narrow_enough(plan: FreshnessPlan, runs: Runs[LineFigures], seeds: Sequence[int]) -> bool:
    """Whether the interval of the stalest job's net loss is narrow at every tempo."""
    for tempo in (f"{tempo:g}" for tempo in plan.tempos):
        fresh = float(np.mean([net_loss(runs[FRESH, tempo, seed]) for seed in seeds]))
        observed = difference_of(paired(runs, plan.stalest, FRESH, tempo, seeds, net_loss))
        if half_width(observed) > plan.width * fresh:
            return False
    return True


def result_of(
    plan: FreshnessPlan, runs: Runs[LineFigures], seeds: Sequence[int], provenance: Provenance
) -> FreshnessResult:
    """The study's figures from its runs."""
    tempos = [f"{tempo:g}" for tempo in plan.tempos]
    staleness = {
        name: float(np.mean([runs[name, tempos[0], seed].staleness_minutes for seed in seeds]))
        for name in plan.jobs
    }
    typologies = typology_cells(runs, list(plan.arms()), tempos, seeds, FRESH)
    points = [c for c in typologies if c.arm in staleness and not c.hatched and c.duration_minutes > 0]
    weights, losses = [float(c.campaigns) for c in points], [c.lost.mean for c in points]
    return FreshnessResult(
        provenance=provenance,
        seeds=list(seeds),
        tempos=list(plan.tempos),
        cards=plan.worlds.cards,
        days=plan.worlds.days,
        history_days=plan.worlds.history_days,
        fraud_scale=dict(plan.worlds.world)["fraud_scale"],
        staleness_minutes=staleness,
        arms=arm_cells(runs, list(plan.arms()), tempos, seeds, FRESH, plan.worlds.days),
        typologies=typologies,
        knees=knees(typologies, staleness),
        over_duration=common_curve([staleness[c.arm] / c.duration_minutes for c in points], losses, weights),
        over_gap=common_curve([staleness[c.arm] / max(c.gap_minutes, 0.01) for c in points], losses, weights),
        controls=_controls(plan, runs, tempos, seeds),
        sawtooth=[_sawtooth(plan, runs, f"{tempo:g}", seeds) for tempo in plan.spread_tempos],
    )


def _controls(
    plan: FreshnessPlan, runs: Runs[LineFigures], tempos: Sequence[str], seeds: Sequence[int]
) -> list[Control]:
    return controls_of(runs, FRESH, NULL, tempos, seeds, net_loss, plan.planted_share)


def _sawtooth(plan: FreshnessPlan, runs: Runs[LineFigures], tempo: str, seeds: Sequence[int]) -> Sawtooth:
    """The job less the delays, each of which counts as often as the job had its staleness in that world."""
    job, delays = f"job every {span(SPREAD_OF)}", list(plan.delays)
    differences = []
    for seed in seeds:
        figures = runs[job, tempo, seed]
        weights = np.reshape(figures.staleness_parts, (len(delays), PARTS // len(delays))).sum(axis=1)
        losses = [net_loss(runs[name, tempo, seed]) for name in delays]
        differences.append(net_loss(figures) - float(np.dot(weights, losses)))
    lost = difference_of(paired(runs, job, FRESH, tempo, seeds, net_loss))
    return Sawtooth(
        tempo=float(tempo), period=span(SPREAD_OF), difference=difference_of(differences), lost=lost
    )
