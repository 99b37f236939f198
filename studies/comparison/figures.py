"""What a run of an arm gives, and its means and differences over the seeds. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np

from fraudsim.errors import InvariantError
from producers.ledger.comparison import Difference, difference_of
from studies.frame.cell_plan import Runs
from studies.frame.line_figures import LineFigures
from studies.frame.paired import holm, p_value

NET_LOSS: Final = "net loss"
RANKING: Final = "average precision"
"""A measure in percent; all others of contrasts are money."""
WEEK_DAYS: Final = 7


class MeasuredLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run, with figures of its study's own."""

    line: LineFigures
    measures: dict[str, float] = {}
    """By name."""
    acted: list[int] = []
    """Rows of the payments that were not approved, where a study asks for them."""


MeasuredRuns = Runs[MeasuredLine]


class ArmRow(msgspec.Struct, frozen=True, kw_only=True):
    """One arm under one condition: means over the seeds; money in cents per 1,000 cards and week."""

    arm: str
    condition: str
    net_loss: float
    against_base: Difference
    insults_a_week: float
    analyst_hours_a_week: float
    alert_share: float
    """Percent of the decisions."""
    paid_share: float
    """Of the money of all frauds, percent."""
    measures: dict[str, float]


@dataclass(frozen=True)
class Contrast:
    """A difference that the study was made for: an arm less another."""

    name: str
    """What it says, without the figure."""
    arm: str
    base: str
    condition: str = ""
    """"" for the only one."""
    base_condition: str = ""
    """"" for the same."""
    measure: str = NET_LOSS


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A contrast over the seeds."""

    name: str
    condition: str
    measure: str = NET_LOSS
    difference: Difference
    p: float
    holds: bool
    """Whether it is told from none among all contrasts of the study (Holm)."""


def value_of(figures: MeasuredLine, measure: str) -> float:
    """A figure by its name. Cents per 1,000 cards and week where it is money."""
    return float(figures.line.net_loss_rate) if measure == NET_LOSS else figures.measures[measure]


class Fits(NamedTuple):
    """The base and its null twin: one arm, fitted twice. Their mean has half the chance of one fit in it."""

    base: str
    null: str

    def of(self, arm: str) -> tuple[str, ...]:
        """The fits of an arm."""
        return self if arm == self.base else (arm,)


def mean_over_fits(
    runs: MeasuredRuns, fits: Fits, arm: str, condition: str, seed: int, measure: str
) -> float:
    """A figure of an arm in one world."""
    return float(np.mean([value_of(runs[one, condition, seed], measure) for one in fits.of(arm)]))


def arm_rows(
    runs: MeasuredRuns, pairs: Sequence[tuple[str, str]], seeds: Sequence[int], fits: Fits, days: int
) -> list[ArmRow]:
    """A row for each pair of arm and condition, against both fits of the base of the same condition."""
    return [_row(runs, arm, condition, seeds, fits, days) for arm, condition in pairs]


def _row(runs: MeasuredRuns, arm: str, condition: str, seeds: Sequence[int], fits: Fits, days: int) -> ArmRow:
    figures = [runs[arm, condition, seed] for seed in seeds]
    lines = [item.line for item in figures]
    at_stake = sum(t.at_stake_cents for line in lines for t in line.typologies.values())
    paid = sum(t.paid_cents for line in lines for t in line.typologies.values())
    if arm in fits:  # against the other fit, not against a mean with itself in it
        bases = [float(runs[fits.base, condition, seed].line.net_loss_rate) for seed in seeds]
    else:
        bases = [mean_over_fits(runs, fits, fits.base, condition, seed, NET_LOSS) for seed in seeds]
    weeks = days / WEEK_DAYS
    return ArmRow(
        arm=arm,
        condition=condition,
        net_loss=float(np.mean([line.net_loss_rate for line in lines])),
        against_base=difference_of(
            [line.net_loss_rate - other for line, other in zip(lines, bases, strict=True)]
        ),
        insults_a_week=float(np.mean([line.insults for line in lines])) / weeks,
        analyst_hours_a_week=float(np.mean([line.review_minutes for line in lines])) / 60 / weeks,
        alert_share=100 * sum(line.flagged for line in lines) / sum(line.decisions for line in lines),
        paid_share=100 * paid / at_stake if at_stake else 0.0,
        measures=_means([item.measures for item in figures]),
    )


def _means(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for item in measures for name in item})
    return {name: float(np.mean([item[name] for item in measures if name in item])) for name in names}


def differences(
    runs: MeasuredRuns, fits: Fits, contrast: Contrast, conditions: Sequence[str], seeds: Sequence[int]
) -> list[float]:
    """A contrast by seed."""
    condition = contrast.condition or conditions[0]
    other = contrast.base_condition or condition
    return [
        mean_over_fits(runs, fits, contrast.arm, condition, seed, contrast.measure)
        - mean_over_fits(runs, fits, contrast.base, other, seed, contrast.measure)
        for seed in seeds
    ]


def effects_of(
    runs: MeasuredRuns,
    fits: Fits,
    contrasts: Sequence[Contrast],
    conditions: Sequence[str],
    seeds: Sequence[int],
) -> list[Effect]:
    """Every contrast, and which of them hold among all."""
    values = [differences(runs, fits, contrast, conditions, seeds) for contrast in contrasts]
    chances = [p_value(item) for item in values]
    return [
        Effect(
            name=contrast.name,
            condition=contrast.condition or conditions[0],
            measure=contrast.measure,
            difference=difference_of(item),
            p=chance,
            holds=holds,
        )
        for contrast, item, chance, holds in zip(contrasts, values, chances, holm(chances), strict=True)
    ]


def effect_of(effects: Sequence[Effect], name: str) -> Effect:
    """The effect of a name.

    Raises:
        InvariantError: there is none.
    """
    for effect in effects:
        if effect.name == name:
            return effect
    raise InvariantError(f"a study has no effect {name!r}")
