"""Figures of arms and typologies over seeds, one curve over all typologies and tempos, and the knee. Pure.

Differences are paired, each regime against fresh features in the same world.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from producers.ledger.comparison import difference_of
from studies.frame.cell_plan import Runs
from studies.frame.line_figures import LineFigures, TypologyFigures
from studies.frame.paired import holm, p_value
from studies.freshness.result import ArmCell, Curve, Knee, TypologyCell

AS_GOOD: Final = 2.0
"""Percentage points of the money that campaigns planned: below it batch is called as good."""


def arm_cells(
    runs: Runs[LineFigures],
    arms: Sequence[str],
    tempos: Sequence[str],
    seeds: Sequence[int],
    fresh: str,
    days: int,
) -> list[ArmCell]:
    """Every regime at every tempo at which it was run."""
    return [
        _arm_cell(arm, float(tempo), [(runs[arm, tempo, n], runs[fresh, tempo, n]) for n in seeds], 7 / days)
        for tempo in tempos
        for arm in arms
        if (arm, tempo, seeds[0]) in runs
    ]


def _arm_cell(
    arm: str, tempo: float, pairs: Sequence[tuple[LineFigures, LineFigures]], weeks: float
) -> ArmCell:
    figures = [item for item, _ in pairs]
    differences = [float(a.net_loss_rate - b.net_loss_rate) for a, b in pairs]
    return ArmCell(
        arm=arm,
        tempo=tempo,
        net_loss=float(np.mean([item.net_loss_rate for item in figures])),
        against_fresh=difference_of(differences),
        p=p_value(differences),
        insults_a_week=float(np.mean([item.insults for item in figures])) * weeks,
        analyst_hours_a_week=float(np.mean([item.review_minutes for item in figures])) / 60 * weeks,
        alert_share=100 * sum(i.flagged for i in figures) / sum(i.decisions for i in figures),
    )


def typology_cells(
    runs: Runs[LineFigures], arms: Sequence[str], tempos: Sequence[str], seeds: Sequence[int], fresh: str
) -> list[TypologyCell]:
    """Every typology at every tempo under every regime that was run there."""
    names = sorted({name for figures in runs.values() for name in figures.typologies})
    cells = []
    for tempo in tempos:
        for name in names:
            for arm in arms:
                if (arm, tempo, seeds[0]) not in runs:
                    continue
                pairs = [(runs[arm, tempo, n], runs[fresh, tempo, n]) for n in seeds]
                cell = _typology_cell(arm, float(tempo), name, pairs)
                if cell is not None:
                    cells.append(cell)
    return cells


def _typology_cell(
    arm: str, tempo: float, name: str, pairs: Sequence[tuple[LineFigures, LineFigures]]
) -> TypologyCell | None:
    both = [(a.typologies[name], b.typologies[name]) for a, b in pairs if name in a.typologies]
    both = [(a, b) for a, b in both if b.planned_cents]
    if not both:
        return None
    spans = [b.spans[name] for _, b in pairs if name in b.spans]
    figures = [a for a, _ in both]
    campaigns = sum(item.campaigns for item in figures)
    waits = [item.stop_minutes for item in figures if item.stop_minutes is not None]
    lost = [_paid_share(a) - _paid_share(b) for a, b in both]
    return TypologyCell(
        typology=name,
        tempo=tempo,
        arm=arm,
        campaigns=campaigns,
        paid_share=100 * sum(i.paid_cents for i in figures) / sum(i.planned_cents for i in figures),
        lost=difference_of(lost),
        p=p_value(lost),
        first_caught_share=100 * sum(i.first_caught for i in figures) / campaigns,
        stopped_share=100 * sum(i.stopped for i in figures) / campaigns,
        stop_minutes=float(np.median(waits)) if waits else None,
        duration_minutes=float(np.median([duration for duration, _ in spans])),
        gap_minutes=float(np.median([gap for _, gap in spans])),
    )


def _paid_share(figures: TypologyFigures) -> float:
    return 100 * figures.paid_cents / figures.planned_cents


def knees(cells: Sequence[TypologyCell], staleness: Mapping[str, float]) -> list[Knee]:
    """The knee of every typology and tempo; `staleness` has the mean of each job's arm, minutes."""
    stalest = max(staleness, key=staleness.__getitem__)
    by_key = {(cell.typology, cell.tempo, cell.arm): cell for cell in cells}
    keys = [(cell.typology, cell.tempo) for cell in cells if cell.arm == stalest]
    shown = [key for key in keys if _verdict(by_key[*key, stalest]) != "too few campaigns"]
    holds = dict(zip(shown, holm([by_key[*key, stalest].p for key in shown]), strict=True))
    return [
        Knee(
            typology=typology,
            tempo=tempo,
            verdict=(verdict := _verdict(last := by_key[typology, tempo, stalest])),
            minutes=_half_minutes(
                last.lost.mean,
                [
                    (minutes, by_key[typology, tempo, arm].lost.mean)
                    for arm, minutes in sorted(staleness.items(), key=lambda item: item[1])
                    if (typology, tempo, arm) in by_key
                ],
            )
            if verdict == "real time matters"
            else None,
            holds=verdict == "real time matters" and holds[typology, tempo],
        )
        for typology, tempo in sorted(keys)
    ]


def _verdict(stalest: TypologyCell) -> str:
    lost = stalest.lost
    if stalest.hatched or lost.low is None or lost.high is None:
        return "too few campaigns"
    if lost.low > 0:
        return "real time matters"
    return "batch is as good" if lost.high < AS_GOOD else "not told apart"


def _half_minutes(whole: float, levels: Sequence[tuple[float, float]]) -> float:
    """The staleness at which half of the whole loss is reached, between (minutes, loss) levels."""
    before = (0.0, 0.0)
    for minutes, lost in levels:
        if lost >= whole / 2:
            share = (whole / 2 - before[1]) / (lost - before[1]) if lost > before[1] else 1.0
            return before[0] + share * (minutes - before[0])
        before = (minutes, lost)
    return levels[-1][0]


def common_curve(ratios: Sequence[float], losses: Sequence[float], weights: Sequence[float]) -> Curve:
    """The rising curve nearest to all cells (isotonic regression), and its share of their variance."""
    from sklearn.isotonic import IsotonicRegression

    x, y, w = (np.array(values, np.float64) for values in (ratios, losses, weights))
    if len(x) < 3 or not w.sum():
        return Curve(0.0, [])
    order = np.argsort(x)
    x, y, w = x[order], y[order], w[order]
    fitted = IsotonicRegression().fit(x, y, w).predict(x)
    around = float((w * (y - np.average(y, weights=w)) ** 2).sum())
    left = float((w * (y - fitted) ** 2).sum())
    spread = 1 - left / around if around else 0.0
    return Curve(spread, list(zip(x.tolist(), fitted.tolist(), strict=True)))
