"""Paired differences over seeds, one curve over all typologies and tempos, and the knee. Pure.

The unit of every interval is the seed: a world of its own. Differences are paired, each regime against fresh
features in the same world. Intervals are 95 %, Student's t, one at a time: of twenty true nulls one would be
expected to show an effect, so a page with many cells says so.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from producers.ledger.comparison import Difference, difference_of
from studies.freshness.run_cell import CellFigures, TypologyFigures

LEAST_CAMPAIGNS: Final = 30
"""Cells with fewer, over all seeds, are hatched and say nothing."""
AS_GOOD: Final = 2.0
"""Percentage points of the money at stake: below it batch is called as good."""


class TypologyCell(msgspec.Struct, frozen=True, kw_only=True):
    """One typology at one tempo under one regime, over all seeds."""

    typology: str
    tempo: float
    arm: str
    campaigns: int
    paid_share: float
    """Of the money at stake, percent."""
    lost: Difference
    """Paid share less that with fresh features, percentage points."""
    first_caught_share: float
    """Campaigns stopped at their first payment, percent."""
    stopped_share: float
    stop_minutes: float | None
    duration_minutes: float
    """Median over the campaigns' planned payments."""
    gap_minutes: float

    @property
    def hatched(self) -> bool:
        """Whether there are too few campaigns to say anything."""
        return self.campaigns < LEAST_CAMPAIGNS


class ArmCell(msgspec.Struct, frozen=True, kw_only=True):
    """One regime at one tempo, over all seeds; money in cents per 1,000 cards and week."""

    arm: str
    tempo: float
    net_loss: float
    against_fresh: Difference
    insults_a_week: float
    analyst_hours_a_week: float
    alert_share: float
    """Percent of the decisions."""


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """Where a typology begins to lose by staleness."""

    typology: str
    tempo: float
    minutes: float | None
    """Mean staleness at which half of the loss of the stalest job is reached; None where nothing is lost."""
    verdict: str
    """`real time matters`, `batch is as good`, `not told apart` or `too few campaigns`."""


class Curve(NamedTuple):
    """Loss over staleness divided by a time of the attack."""

    spread: float
    """Share of the variance of all cells that one rising curve explains, 0 to 1."""
    points: list[tuple[float, float]]
    """(ratio, fitted loss in percentage points), ascending."""


Runs = Mapping[tuple[str, float, int], CellFigures]
"""Figures by arm, tempo and seed."""


def arm_cells(
    runs: Runs, arms: Sequence[str], tempos: Sequence[float], seeds: Sequence[int], fresh: str, days: int
) -> list[ArmCell]:
    """Every regime at every tempo."""
    cells = []
    for tempo in tempos:
        for arm in arms:
            figures = [runs[arm, tempo, seed] for seed in seeds]
            base = [runs[fresh, tempo, seed] for seed in seeds]
            cells.append(
                ArmCell(
                    arm=arm,
                    tempo=tempo,
                    net_loss=float(np.mean([item.net_loss_rate for item in figures])),
                    against_fresh=difference_of(
                        [a.net_loss_rate - b.net_loss_rate for a, b in zip(figures, base, strict=True)]
                    ),
                    insults_a_week=float(np.mean([item.insults for item in figures])) / days * 7,
                    analyst_hours_a_week=float(np.mean([item.review_minutes for item in figures]))
                    / 60
                    / days
                    * 7,
                    alert_share=100 * sum(i.flagged for i in figures) / sum(i.decisions for i in figures),
                )
            )
    return cells


def typology_cells(
    runs: Runs, arms: Sequence[str], tempos: Sequence[float], seeds: Sequence[int], fresh: str
) -> list[TypologyCell]:
    """Every typology at every tempo under every regime."""
    names = sorted({name for figures in runs.values() for name in figures.typologies})
    cells = []
    for tempo in tempos:
        for name in names:
            for arm in arms:
                cell = _typology_cell(runs, arm, tempo, seeds, fresh, name)
                if cell is not None:
                    cells.append(cell)
    return cells


def _typology_cell(
    runs: Runs, arm: str, tempo: float, seeds: Sequence[int], fresh: str, name: str
) -> TypologyCell | None:
    pairs = [
        (runs[arm, tempo, seed].typologies.get(name), runs[fresh, tempo, seed].typologies.get(name))
        for seed in seeds
    ]
    both = [
        (a, b) for a, b in pairs if a is not None and b is not None and a.at_stake_cents and b.at_stake_cents
    ]
    if not both:
        return None
    spans = [runs[fresh, tempo, seed].spans[name] for seed in seeds if name in runs[fresh, tempo, seed].spans]
    figures = [a for a, _ in both]
    campaigns = sum(item.campaigns for item in figures)
    waits = [item.stop_minutes for item in figures if item.stop_minutes is not None]
    return TypologyCell(
        typology=name,
        tempo=tempo,
        arm=arm,
        campaigns=campaigns,
        paid_share=100 * sum(i.paid_cents for i in figures) / sum(i.at_stake_cents for i in figures),
        lost=difference_of([_paid_share(a) - _paid_share(b) for a, b in both]),
        first_caught_share=100 * sum(i.first_caught for i in figures) / campaigns,
        stopped_share=100 * sum(i.stopped for i in figures) / campaigns,
        stop_minutes=float(np.median(waits)) if waits else None,
        duration_minutes=float(np.median([duration for duration, _ in spans])),
        gap_minutes=float(np.median([gap for _, gap in spans])),
    )


def _paid_share(figures: TypologyFigures) -> float:
    return 100 * figures.paid_cents / figures.at_stake_cents


def knees(cells: Sequence[TypologyCell], staleness: Mapping[str, float]) -> list[Knee]:
    """The knee of every typology and tempo; `staleness` has the mean of each job's arm, minutes."""
    stalest = max(staleness, key=staleness.__getitem__)
    by_key = {(cell.typology, cell.tempo, cell.arm): cell for cell in cells}
    result = []
    for typology, tempo in sorted({(cell.typology, cell.tempo) for cell in cells}):
        last = by_key.get((typology, tempo, stalest))
        if last is None or last.hatched or last.lost.low is None or last.lost.high is None:
            result.append(Knee(typology=typology, tempo=tempo, minutes=None, verdict="too few campaigns"))
            continue
        if last.lost.low <= 0:
            verdict = "batch is as good" if last.lost.high < AS_GOOD else "not told apart"
            result.append(Knee(typology=typology, tempo=tempo, minutes=None, verdict=verdict))
            continue
        levels = sorted(
            (minutes, arm) for arm, minutes in staleness.items() if (typology, tempo, arm) in by_key
        )
        half, before = last.lost.mean / 2, (0.0, 0.0)
        minutes = staleness[stalest]
        for level, arm in levels:
            lost = by_key[typology, tempo, arm].lost.mean
            if lost >= half:
                share = (half - before[1]) / (lost - before[1]) if lost > before[1] else 1.0
                minutes = before[0] + share * (level - before[0])
                break
            before = (level, lost)
        result.append(Knee(typology=typology, tempo=tempo, minutes=minutes, verdict="real time matters"))
    return result


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


def planted_difference(differences: Sequence[float], effect: float) -> Difference:
    """The difference that the study reports for null twins to one of which a known effect was added."""
    return difference_of([value + effect for value in differences])
