"""Paired differences over seeds, and controls where the answer is known. Pure.

The unit of every interval is the seed: a world of its own, with models of its own. Intervals are 95 %,
Student's t, one at a time.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from producers.ledger.comparison import Difference, difference_of
from studies.frame.cell_plan import F, Runs

POWER: Final = 0.8


def paired(
    runs: Runs[F], arm: str, base: str, condition: str, seeds: Sequence[int], value: Callable[[F], float]
) -> list[float]:
    """By seed, the arm's value less the base's."""
    return [value(runs[arm, condition, n]) - value(runs[base, condition, n]) for n in seeds]


def detectable(differences: Sequence[float]) -> float | None:
    """The least true difference that four of five such studies would tell from none; None for one pair.

    (t.975 + t.8) standard errors of the mean, the usual approximation.
    """
    from scipy.stats import t

    n = len(differences)
    if n < 2:
        return None
    error = float(np.std(differences, ddof=1)) / math.sqrt(n)
    return error * float(t.ppf(0.975, n - 1) + t.ppf(POWER, n - 1))


def p_value(differences: Sequence[float]) -> float:
    """Of Student's t, two-sided: the chance of a mean so far from 0 without an effect; 1 for one pair."""
    from scipy.stats import t

    n = len(differences)
    deviation = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    mean = float(np.mean(differences))
    if n < 2 or (deviation == 0 and mean == 0):
        return 1.0
    if deviation == 0:
        return 0.0
    return float(2 * t.sf(abs(mean) / (deviation / math.sqrt(n)), n - 1))


def holm(p_values: Sequence[float], level: float = 0.05) -> list[bool]:
    """Which effects hold among all that were looked at (Holm 1979): one false one in 1 / level pages.

    >>> holm([0.001, 0.03, 0.04])
    [True, False, False]
    """
    holds = [False] * len(p_values)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(order):
        if p_values[index] > level / (len(order) - rank):
            break
        holds[index] = True
    return holds


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What a study finds where the answer is known; in the units of its figures."""

    condition: str
    """`all`: the mean over the conditions, by seed."""
    base: float
    """Mean over the seeds."""
    null: Difference
    """Two twins that differ by nothing but chance."""
    null_told: bool
    """Whether the null twins are told apart, wrongly."""
    planted_share: float
    planted: float
    """The mean of the effect: `planted_share` of each world's base, added to the null twin's."""
    observed: Difference
    planted_told: bool
    detectable: float | None
    """The least effect that four of five such studies would find."""

    @property
    def detectable_share(self) -> float | None:
        """Of the base."""
        return None if self.detectable is None else self.detectable / self.base


def control_of(condition: str, base: Sequence[float], null: Sequence[float], planted_share: float) -> Control:
    """The control from the base's and the null twin's figures by seed."""
    differences = [b - a for a, b in zip(base, null, strict=True)]
    effects = [planted_share * value for value in base]
    observed = difference_of([d + effect for d, effect in zip(differences, effects, strict=True)])
    nothing = difference_of(differences)
    return Control(
        condition=condition,
        base=float(np.mean(base)),
        null=nothing,
        null_told=_excludes_zero(nothing),
        planted_share=planted_share,
        planted=float(np.mean(effects)),
        observed=observed,
        planted_told=_excludes_zero(observed),
        detectable=detectable(differences),
    )


def controls_of(
    runs: Runs[F],
    base: str,
    null: str,
    conditions: Sequence[str],
    seeds: Sequence[int],
    value: Callable[[F], float],
    planted_share: float,
) -> list[Control]:
    """A control for each condition, and one of their means where there are several."""
    values = {
        arm: [[value(runs[arm, condition, n]) for n in seeds] for condition in conditions]
        for arm in (base, null)
    }
    controls = [
        control_of(name, a, b, planted_share)
        for name, a, b in zip(conditions, values[base], values[null], strict=True)
    ]
    if len(conditions) > 1:
        means = {arm: [float(np.mean(row)) for row in zip(*values[arm], strict=True)] for arm in values}
        controls.append(control_of("all", means[base], means[null], planted_share))
    return controls


def _excludes_zero(difference: Difference) -> bool:
    """Whether the interval leaves out 0."""
    return difference.low is not None and difference.high is not None and difference.low * difference.high > 0


def half_width(difference: Difference) -> float:
    """Of the interval; infinite for one pair."""
    if difference.low is None or difference.high is None:
        return math.inf
    return (difference.high - difference.low) / 2
