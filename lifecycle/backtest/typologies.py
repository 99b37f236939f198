"""Two models by typology: how much of its frauds each flagged, and what was paid, paired by card. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from fraudsim.arrays import Doubles, Ints
from lifecycle.backtest.verdict import LEAST_CARDS, Z975, Interval, paired_by_card


@dataclass(frozen=True, eq=False)
class TypologyByCard:
    """The frauds of one typology in one arm; arrays by card, shape (cards,)."""

    frauds: Ints
    flagged: Ints
    paid_cents: Ints

    @classmethod
    def none(cls, cards: int) -> "TypologyByCard":
        """No fraud on any card."""
        return cls(*(np.zeros(cards, np.int64) for _ in range(3)))


class ShareDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A difference of shares, B less A, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """In percent."""
        return f"{self.mean:+.1%} ({self.low:+.1%} to {self.high:+.1%})"


class TypologyComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One typology under both models. A campaign that is stopped tries less, so counts of frauds differ."""

    name: str
    cards: int
    """Struck by it under either model."""
    frauds_of_a: int
    frauds_of_b: int
    flagged_of_a: int
    flagged_of_b: int
    paid_of_a: int
    """Cents."""
    paid_of_b: int
    flagged: ShareDifference | None
    """Of its frauds; None where fewer than 20 cards were struck, or one arm had none."""
    paid: Interval | None
    """None where fewer than 20 cards were struck."""


def compare_typologies(
    a: Mapping[str, TypologyByCard], b: Mapping[str, TypologyByCard], weeks: float, cards: int
) -> list[TypologyComparison]:
    """Every typology that struck under either model, by name."""
    compared = []
    for name in sorted({*a, *b}):
        either = a.get(name) or b[name]
        none = TypologyByCard.none(len(either.frauds))
        of_a, of_b = a.get(name, none), b.get(name, none)
        struck = int(((of_a.frauds > 0) | (of_b.frauds > 0)).sum())
        enough = struck >= LEAST_CARDS
        paid = (of_b.paid_cents - of_a.paid_cents).astype(np.float64)
        compared.append(
            TypologyComparison(
                name=name,
                cards=struck,
                frauds_of_a=int(of_a.frauds.sum()),
                frauds_of_b=int(of_b.frauds.sum()),
                flagged_of_a=int(of_a.flagged.sum()),
                flagged_of_b=int(of_b.flagged.sum()),
                paid_of_a=int(of_a.paid_cents.sum()),
                paid_of_b=int(of_b.paid_cents.sum()),
                flagged=_share_difference(of_a, of_b) if enough else None,
                paid=paired_by_card(paid, weeks, cards) if enough else None,
            )
        )
    return compared


def _share_difference(a: TypologyByCard, b: TypologyByCard) -> ShareDifference | None:
    """Of two ratios of sums over the same cards, by the delta method (Deng et al. 2018)."""
    if not a.frauds.sum() or not b.frauds.sum():
        return None
    ratio_a, rest_a = _ratio(a)
    ratio_b, rest_b = _ratio(b)
    half = Z975 * math.sqrt(float(np.square(rest_b - rest_a).sum()))
    difference = ratio_b - ratio_a
    return ShareDifference(mean=difference, low=difference - half, high=difference + half)


def _ratio(arm: TypologyByCard) -> tuple[float, Doubles]:
    """The share that was flagged, and by how much each card moves it."""
    total = int(arm.frauds.sum())
    share = int(arm.flagged.sum()) / total
    return share, (arm.flagged - share * arm.frauds) / total
