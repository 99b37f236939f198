"""Intervals that hold at every look: asymptotic confidence sequences clustered by card. Pure.

The estimate of a difference is watched as a cumulative sum S with variance τ, both growing as days pass.
Robbins' normal mixture bounds it at all times at once: |S - E S| < √((τ + λ) log((τ + λ) / (λ α²))) for ever,
with probability 1 - α (Robbins 1970; Howard et al. 2021, eq. 14; asymptotically with an estimated variance:
Waudby-Smith et al. 2021, theorem 2.2). λ decides at which τ it is tightest, not whether it holds.

Days of one card depend on each other. τ is the variance of whole cards' sums, so that counts of cards and
not of payments decide. A card that lost much so far rather loses more, so looks agree more than a Brownian
motion's at times τ would, and the bound is the safer for it (Slepian's inequality).

A stage has an end, and a bound that must hold only until then can be narrower there: |S - E S| < z √τ_end
at all looks, z = Φ⁻¹(1 - α/4), by the reflection principle (continuous O'Brien and Fleming 1979).
`stage_interval` spends 4 of 5 % on that and 1 % on the mixture, which is tighter in a stage's first days.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from fraudsim.arrays import Doubles, Flags

ALPHA: Final = 0.05
POWER: Final = 0.8
EARLY_ALPHA: Final = 0.01
"""Of `ALPHA`, what the mixture has; the bound to the end of the stage has the rest."""
TO_END: Final = NormalDist().inv_cdf(1 - (ALPHA - EARLY_ALPHA) / 4)


class SummedDifference(NamedTuple):
    """A difference, B less A, of what is summed so far."""

    difference: float
    variance: float
    exposure: float
    """What the sums are divided by to give `difference`: weeks, or payments."""

    @property
    def intrinsic_time(self) -> float:
        """The variance of the cumulative sum, τ."""
        return self.variance * self.exposure**2


class AnytimeInterval(NamedTuple):
    """An interval that holds at all looks together."""

    difference: float
    low: float
    high: float


def mean_difference(sums: Doubles, in_b: Flags, weeks: float) -> SummedDifference:
    """The difference of means by card and week, as `mean_differences` of one look."""
    return mean_differences(sums[:, np.newaxis], in_b, [weeks])[0]


def mean_differences(sums: Doubles, in_b: Flags, weeks: Sequence[float]) -> list[SummedDifference]:
    """The differences of means by card and week at several looks.

    The variance is the larger of Welch's and the pooled one: a small arm that has not met a large loss yet
    would otherwise take its luck for certainty.

    Args:
        sums: of each card since the stage began, up to each look, shape (cards, looks).
        in_b: whether the card is B's, shape (cards,).
        weeks: since the stage began, by look.
    """
    a, b = sums[~in_b], sums[in_b]
    if len(a) < 2 or len(b) < 2:
        return [SummedDifference(0.0, math.inf, max(week, 0.0)) for week in weeks]
    variance_a, variance_b = a.var(axis=0, ddof=1), b.var(axis=0, ddof=1)
    welch = variance_a / len(a) + variance_b / len(b)
    pooled = ((len(a) - 1) * variance_a + (len(b) - 1) * variance_b) / (len(sums) - 2)
    variances = np.maximum(welch, pooled * (1 / len(a) + 1 / len(b)))
    means = b.mean(axis=0) - a.mean(axis=0)
    return [
        SummedDifference(mean / week, variance / week**2, week)
        if week > 0
        else SummedDifference(0.0, math.inf, 0.0)
        for mean, variance, week in zip(means.tolist(), variances.tolist(), weeks, strict=True)
    ]


def ratio_difference(numerators: Doubles, denominators: Doubles, in_b: Flags) -> SummedDifference:
    """The difference of two ratios of sums, clustered by card (delta method; Deng et al. 2018).

    Args:
        numerators: such as declines by card, shape (cards,).
        denominators: such as payments by card.
    """
    everything = float(denominators.sum())
    parts = []
    for arm in (~in_b, in_b):
        total, count = float(denominators[arm].sum()), int(arm.sum())
        if total <= 0 or count < 2:
            return SummedDifference(0.0, math.inf, everything)
        ratio = float(numerators[arm].sum()) / total
        parts.append((ratio, total))
    overall = float(numerators.sum()) / everything
    residuals = np.square(numerators - overall * denominators)
    pooled = float(residuals.sum()) / everything
    (ratio_a, total_a), (ratio_b, total_b) = parts
    own = sum(
        float(np.square(numerators[arm] - ratio * denominators[arm]).sum()) / total**2
        for arm, (ratio, total) in zip((~in_b, in_b), parts, strict=True)
    )
    variance = max(own, pooled * (1 / total_a + 1 / total_b))
    return SummedDifference(ratio_b - ratio_a, variance, everything)


def tuning(intrinsic_time: float, alpha: float = ALPHA) -> float:
    """λ with which the bound is tightest at `intrinsic_time` (Waudby-Smith et al. 2021, appendix).

    >>> round(tuning(10.0), 3)
    1.26
    """
    log_alpha = -2 * math.log(alpha)
    return intrinsic_time / (log_alpha + math.log(log_alpha + 1))


def bound(intrinsic_time: float, mixture: float, alpha: float = ALPHA) -> float:
    """How far the cumulative sum may stray; `mixture` is λ."""
    total = intrinsic_time + mixture
    return math.sqrt(total * math.log(total / (mixture * alpha**2)))


def interval(estimate: SummedDifference, mixture: float, alpha: float = ALPHA) -> AnytimeInterval:
    """The interval of an estimate at this look.

    >>> interval(SummedDifference(0.0, math.inf, 1.0), 1.0)
    AnytimeInterval(difference=0.0, low=-inf, high=inf)
    """
    if not (math.isfinite(estimate.variance) and estimate.exposure > 0 and mixture > 0):
        return AnytimeInterval(estimate.difference, -math.inf, math.inf)
    half = bound(estimate.intrinsic_time, mixture, alpha) / estimate.exposure
    return AnytimeInterval(estimate.difference, estimate.difference - half, estimate.difference + half)


def stage_interval(estimate: SummedDifference, mixture: float, elapsed: float) -> AnytimeInterval:
    """The interval of an estimate at a look of a stage whose end was set before it began.

    τ_end is not known before the end. It is taken as τ / elapsed², as if variance grew with the square of
    time: that is right where ever more cards count, and too wide at the looks before the end where it grows
    more slowly.

    Args:
        mixture: λ, tuned for `EARLY_ALPHA`.
        elapsed: share of the stage that is over, above 0; beyond 1 counts as 1.
    """
    difference, low, high = interval(estimate, mixture, EARLY_ALPHA)
    if not math.isfinite(low):
        return AnytimeInterval(difference, low, high)
    half = min(high - difference, TO_END * math.sqrt(estimate.variance) / min(elapsed, 1.0))
    return AnytimeInterval(difference, difference - half, difference + half)


def detectable_in_stage(estimate: SummedDifference, elapsed: float) -> float:
    """The least difference that is found by the end of the stage with a probability of `POWER`.

    Variance grows with exposure as for independent days.
    """
    if not math.isfinite(estimate.variance):
        return math.inf
    reach = TO_END + NormalDist().inv_cdf(POWER)
    return reach * math.sqrt(estimate.variance * min(elapsed, 1.0))


def detectable(estimate: SummedDifference, growth: float, mixture: float, alpha: float = ALPHA) -> float:
    """The least difference that is found with a probability of `POWER` when exposure has grown `growth`-fold.

    Variance grows with exposure as for independent days.
    """
    if not math.isfinite(estimate.variance) or estimate.exposure <= 0 or mixture <= 0:
        return math.inf
    then = estimate.intrinsic_time * growth
    reach = bound(then, mixture, alpha) + NormalDist().inv_cdf(POWER) * math.sqrt(then)
    return reach / (estimate.exposure * growth)


def frauds_needed(lift: float, coefficient_of_variation: float, alpha: float = ALPHA) -> int:
    """Frauds that each arm needs to find a relative lift of fraud paid at one look at the end.

    >>> frauds_needed(0.05, 2.0)
    25117
    """
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(POWER)
    return math.ceil(2 * (z * coefficient_of_variation / lift) ** 2)
