"""Whether cards come to the arms in the proportion that was set, watched at every look. Pure.

The sequential test of multinomial counts of Lindon and Malek (2022, "Anytime-valid inference for multinomial
count data"): the Bayes factor of a Dirichlet mixture against the set proportion is a martingale where that is
true, so that it ever exceeds 1/α with a probability of α at most.
"""

import math
from typing import Final

CONCENTRATION: Final = 200.0
"""Of the mixture around the set share; other values hold too, and find other deviations sooner."""
ALPHA: Final = 0.001


def log_evidence(of_b: int, of_a: int, share: float, concentration: float = CONCENTRATION) -> float:
    """Natural logarithm of the Bayes factor against `share`.

    >>> log_evidence(0, 0, 0.25)
    0.0

    Args:
        of_b: cards seen in B.
        of_a: cards seen in A.
        share: of the cards that B was to have, 0 to 1 exclusive.
    """
    first, second = concentration * share, concentration * (1 - share)
    mixture = _log_beta(first + of_b, second + of_a) - _log_beta(first, second)
    return mixture - of_b * math.log(share) - of_a * math.log(1 - share)


def mismatch(of_b: int, of_a: int, share: float, alpha: float = ALPHA) -> bool:
    """Whether the counts contradict the share."""
    return log_evidence(of_b, of_a, share) >= -math.log(alpha)


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)
