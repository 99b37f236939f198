"""Undersampling of honest transactions, and the correction of the scores that it shifts. Pure.

Dal Pozzolo, Caelen, Johnson and Bontempi, "Calibrating Probability with Undersampling for Unbalanced
Classification", IEEE SSCI 2015: if a share β of the honest transactions is kept, all frauds stay and p_s is
the probability in the sample, then p = β·p_s / (β·p_s - p_s + 1). It holds for the population's probability;
of a model fitted to a finite sample it is to be checked.
"""

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints


def undersampled_rows(is_fraud: Flags, beta: float, seed: int) -> Ints:
    """All frauds, and each honest transaction with probability `beta`; in order."""
    return np.flatnonzero(is_fraud | (np.random.default_rng(seed).random(len(is_fraud)) < beta))


def population_probability(sampled: Floats, beta: float) -> Floats:
    """The population's probability of one in the sample; shape (n,)."""
    p = np.asarray(sampled, np.float64)
    return (beta * p / (beta * p - p + 1)).astype(np.float32)


def balancing_beta(is_fraud: Flags, honest_per_fraud: float = 10.0) -> float:
    """The share of the honest transactions that leaves so many of them for each fraud, at most 1."""
    return min(1.0, honest_per_fraud * float(is_fraud.sum()) / max(1, int((~is_fraud).sum())))
