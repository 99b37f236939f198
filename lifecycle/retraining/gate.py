"""The gate: does the new model cost less than the champion on the last payments? Paired by card. Pure."""

import math
from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Doubles, Ints

Z: Final = 1.96


class GateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The new model's cost less the champion's, cents for 1,000 payments, with its 95 % interval."""

    payments: int
    known_frauds: int
    champion: float
    """Cents for 1,000 payments."""
    difference: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        """Whether it costs no more; the interval is shown, and is no part of the rule."""
        return self.difference <= 0


def compare(cards: Ints, champion: Doubles, challenger: Doubles, known_frauds: int) -> GateFigures:
    """The paired comparison; cards, not payments, are independent.

    Args:
        cards: code of each payment's card, shape (n,), n > 0.
        champion, challenger: costs of each payment.
    """
    n = len(cards)
    by_card = np.bincount(cards, challenger - champion)
    units = len(by_card)
    scale = 1_000 / n
    difference = float(by_card.sum()) * scale
    half = Z * float(by_card.std()) * math.sqrt(units) * scale
    return GateFigures(
        payments=n,
        known_frauds=known_frauds,
        champion=float(champion.sum()) * scale,
        difference=difference,
        low=difference - half,
        high=difference + half,
    )
