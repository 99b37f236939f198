"""A line some of whose decisions see the request alone, as where a deadline is near. Pure."""

from typing import Final

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Floats, Ints
from fraudsim.log.events import Block, Transaction
from model.artefact.calibration import CLIP, Calibration
from model.training.fallback import request_only
from producers.labels.divided_desk import ArmShare
from producers.rng import chance
from scorer.policy.policy import Choice, Policy
from simulator.line.scoring import Assessed, PaymentColumns, Scoring, ScoringArm, scores_of_rows

_STREAM: Final = "study-degraded"


class DegradedScoring(Scoring):
    """Decides a share of the payments, drawn by their ids, with the fallback and the request alone."""

    def __init__(
        self, arm: ScoringArm, fallback: ScoringArm, policy: Policy, share: float, seed: int
    ) -> None:
        super().__init__(arm, policy, "champion")
        self._fallback, self._share, self._seed = fallback, share, seed

    def is_degraded(self, tx_id: str) -> bool:
        """Whether a payment is decided by the fallback."""
        return chance(self._seed, _STREAM, tx_id) < self._share

    def assess(self, vectors: Floats, columns: PaymentColumns, rows: Ints) -> Assessed:
        """As `Scoring.assess`; degraded rows have the fallback's score, and null for all but the request."""
        ids = columns.table["tx_id"].take(pa.array(rows)).to_pylist()
        degraded = np.array([self.is_degraded(tx_id) for tx_id in ids], np.bool_)
        scores = scores_of_rows(self.arm.forest, vectors)
        seen = vectors.copy()
        seen[degraded] = request_only(vectors[degraded])
        by_fallback = scores_of_rows(self._fallback.forest, seen[degraded])
        scores[degraded] = same_probability(by_fallback, self._fallback.calibration, self.arm.calibration)
        return self.assess_scores(scores, seen, columns, rows)

    def decide(
        self,
        tx: Transaction,
        vector: Floats,
        score: float,
        probability: float,
        block: Block | None = None,
        arm: ArmShare | None = None,
    ) -> Choice:
        """As `Scoring.decide`; rules see what a degraded decision sees."""
        if self.is_degraded(tx.tx_id):
            vector = request_only(vector[np.newaxis])[0]
        return super().decide(tx, vector, score, probability, block, arm)


def same_probability(scores: Floats, source: Calibration, target: Calibration) -> Floats:
    """The scores to which `target` gives the probabilities that `source` gives to `scores`; shape (n,)."""
    clipped = np.clip(scores.astype(np.float64), CLIP, 1 - CLIP)
    x = source.slope * np.log(clipped / (1 - clipped)) + source.intercept
    return (1 / (1 + np.exp(-(x - target.intercept) / target.slope))).astype(np.float32)
