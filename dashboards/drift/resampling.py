"""Whole cards drawn with replacement: a card's payments are not independent of one another."""

from math import exp, factorial
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Ints

RESAMPLES: Final = 40
_MOST: Final = 8
"""A card is drawn more often once in a million times; it is then drawn so often."""
_POISSON: Final = np.cumsum([exp(-1) / factorial(k) for k in range(_MOST)])
_M1, _M2, _STEP = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)


def card_weights(cards: Ints, seed: int = 0, resamples: int = RESAMPLES) -> Doubles:
    """How often each card is in each resample, shape (resamples + 1, n); the first row is all ones.

    Poisson with mean 1 (Hanley and MacGibbon 2006), from a hash of the card and the resample's number: a
    card has the same weights in every week, so weeks are resampled together.
    """
    numbers = np.arange(1, resamples + 1, dtype=np.uint64) + np.uint64(seed * 1_000_003)
    mixed = _mix(cards.astype(np.uint64)[None, :] ^ _mix(numbers)[:, None])
    uniform = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    weights = np.searchsorted(_POISSON, uniform, side="right").astype(np.float64)
    return np.vstack([np.ones((1, len(cards))), weights])


def _mix(
    words: "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]",
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint64]]":
    """SplitMix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        words = words + _STEP
        words = (words ^ (words >> np.uint64(30))) * _M1
        words = (words ^ (words >> np.uint64(27))) * _M2
    return words ^ (words >> np.uint64(31))
