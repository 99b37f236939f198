"""Fits a model for an arm on what it learns from. Pure."""

from typing import Final, NamedTuple

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from model.artefact.calibration import fit_calibration
from model.artefact.thresholds import Thresholds
from model.forest.fit import fit_trees, scores_of
from model.forest.forest import Forest
from model.training.split import SLICE_SHARE
from simulator.line.scoring import ScoringArm
from stream_features.catalogue.features import DAY
from studies.frame.study_world import ALERT_SHARE, HONEST_ROWS, FittedArm

_BY_COST: Final = Thresholds(1.0, 1.0, 1.0)
"""The shipped policy acts by expected cost, so no study needs cut-offs of the score."""


class TrainingRows(NamedTuple):
    """What is learnt from; arrays have one entry per payment, shape (n,)."""

    features: Floats
    """Shape (n, SIZE)."""
    known_fraud: Flags
    train: Flags
    held_out: Flags
    """The end of `train`, on which the probabilities are fitted and the alert share is met."""
    weight: Ints | None = None
    """How often each row counts; None: once."""


def training_period(ts: Ints, end_ms: int, days: float, gap_days: float) -> tuple[Flags, Flags]:
    """The rows of the `days` that end `gap_days` before `end_ms`, and of the slice at their end.

    However long one waits for labels, as many days are learnt from.
    """
    until_ms = end_ms - round(gap_days * DAY)
    from_ms = until_ms - round(days * DAY)
    slice_from_ms = until_ms - int(SLICE_SHARE * (until_ms - from_ms))
    return (ts >= from_ms) & (ts < until_ms), (ts >= slice_from_ms) & (ts < until_ms)


def fit_arm(rows: TrainingRows, name: str, seed: int) -> FittedArm:
    """Trees on all rows of the period, calibrated by trees on all but its end.

    Raises:
        FraudsimError: a part of the period has no known fraud.
    """
    early = rows.train & ~rows.held_out
    for part, chosen in (("beginning", early), ("end", rows.held_out)):
        if not rows.known_fraud[chosen].any():
            raise FraudsimError(
                f"study: the {part} of the training period has no known fraud for {name}; take more cards or "
                "more fraud (FRAUDSIM_WORLD__…)"
            )
    early_trees = fit_trees(*_repeated(rows, early), seed, honest_rows=HONEST_ROWS)
    slice_features, slice_fraud = _repeated(rows, rows.held_out)
    held_out = scores_of(early_trees, slice_features)
    calibration = fit_calibration(held_out, slice_fraud)
    trees = fit_trees(*_repeated(rows, rows.train), seed, honest_rows=HONEST_ROWS)
    arm = ScoringArm(Forest(trees), _BY_COST, calibration, name, "champion")
    return FittedArm(arm, calibration.probability(float(np.quantile(held_out, 1 - ALERT_SHARE))))


def _repeated(rows: TrainingRows, chosen: Flags) -> tuple[Floats, Flags]:
    """Features and labels of some rows, each as often as it counts."""
    index = np.flatnonzero(chosen)
    if rows.weight is not None:
        index = np.repeat(index, rows.weight[index])
    return rows.features[index], rows.known_fraud[index]
