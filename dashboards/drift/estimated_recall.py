"""Performance without labels: what the model's own probabilities say it catches (CBPE). No alarm.

Confidence-based performance estimation (NannyML) takes calibrated probabilities for granted: then the sum of
those above a cut-off over the sum of all estimates recall. It sees a change of who pays and how, since the
probabilities move with it. It cannot see what fraud consists of: a fraudster who begins to look like the
victim (concept shift) gets a low probability, and the estimate stays as it is, or even rises. So it is shown,
and nothing depends on it.
"""

from typing import NamedTuple

import numpy as np

from dashboards.drift.resampling import card_weights
from fraudsim.arrays import Doubles, Flags, Ints

RESAMPLES = 400


class EstimatedRecall(NamedTuple):
    """The share of fraud that is flagged, as the probabilities have it, with a 95 % interval."""

    value: float
    low: float
    high: float


def estimated_recall(
    cards: Ints, probabilities: Doubles, flagged: Flags, seed: int = 0
) -> EstimatedRecall | None:
    """The estimate, and its interval by cards drawn with replacement; None where no fraud is expected.

    Args:
        cards: hash of each payment's card, shape (n,), as are the others.
    """
    keys, card = np.unique(cards, return_inverse=True)
    card = card.ravel()
    caught = np.bincount(card, probabilities * flagged, len(keys))
    expected = np.bincount(card, probabilities, len(keys))
    weights = card_weights(keys, seed, RESAMPLES)
    totals = weights @ expected
    if not totals[0] > 0:
        return None
    shares = (weights @ caught) / np.where(totals > 0, totals, np.nan)
    low, high = np.nanquantile(shares[1:], (0.025, 0.975))
    return EstimatedRecall(float(shares[0]), float(low), float(high))
