"""Two models on one simulated line: each decides for its cards, by the hash of the card."""

from typing import Protocol

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Doubles, Flags, Floats, Ints
from fraudsim.log.events import Block, Transaction
from producers.labels.divided_desk import ArmShare
from scorer.policy.policy import Choice
from simulator.line.scoring import Assessed, PaymentColumns, Scoring, ScoringArm
from stream_features.offline.columns import codes


class CardSplit(Protocol):
    """Which cards are the challenger's now; it may change between two stretches."""

    @property
    def share(self) -> float:
        """The challenger's share of the cards, by which limits and analysts are divided between the arms; 0
        or 1 where they are not."""

    def is_challenged(self, card_id: str) -> bool:
        """Whether a card is the challenger's."""


class SplitScoring:
    """Decides each card by one of two models; a `Scoring` to the line.

    Args:
        champion: decides for all cards that are not the challenger's, and where that gives no number.
    """

    def __init__(self, champion: Scoring, challenger: Scoring, split: CardSplit) -> None:
        self._champion, self._challenger, self._split = champion, challenger, split
        challenger.quota = champion.quota  # which keeps the arms apart, where they are divided
        self._table: pa.Table | None = None
        self._rows_of_b: Flags = np.zeros(0, np.bool_)
        self.unusable: dict[str, int] = {}
        """Transactions that the challenger could not score, by card, since the last `take_unusable`."""

    @property
    def arm(self) -> ScoringArm:
        """The champion's."""
        return self._champion.arm

    @property
    def limited(self) -> bool:
        return self._champion.limited

    def champion_probabilities(self, vectors: Floats, columns: PaymentColumns, rows: Ints) -> Doubles:
        """The champion's probabilities of fraud, whoever's the cards are: one yardstick for both arms."""
        return self._champion.assess(vectors, columns, rows).probabilities

    def take_unusable(self) -> dict[str, int]:
        """The unusable scores so far, which begin anew."""
        unusable, self.unusable = self.unusable, {}
        return unusable

    def rows_of_challenger(self, table: pa.Table) -> Flags:
        """Which rows of a stretch are the challenger's cards, shape (n,)."""
        if self._table is not table:
            index, names = codes(table, "card_id")
            of_card = np.array([self._split.is_challenged(str(name)) for name in names], np.bool_)
            self._table, self._rows_of_b = table, of_card[index]
        return self._rows_of_b

    def assess(self, vectors: Floats, columns: PaymentColumns, rows: Ints) -> Assessed:
        """As `Scoring.assess`, each row by its own model."""
        assessed = self._champion.assess(vectors, columns, rows)
        chosen = np.flatnonzero(self.rows_of_challenger(columns.table)[rows])
        if not len(chosen):
            return assessed
        other = self._challenger.assess(vectors[chosen], columns, rows[chosen])
        usable = np.isfinite(other.scores)
        if not usable.all():
            cards = columns.table["card_id"].take(pa.array(rows[chosen[~usable]])).to_pylist()
            for card in cards:
                self.unusable[card] = self.unusable.get(card, 0) + 1
        kept = chosen[usable]
        assessed.scores[kept] = other.scores[usable]
        assessed.probabilities[kept] = other.probabilities[usable]
        assessed.to_decide[kept] = other.to_decide[usable]
        return assessed

    def assess_scores(self, scores: Floats, vectors: Floats, columns: PaymentColumns, rows: Ints) -> Assessed:
        """As `Scoring.assess_scores`, by the champion: jobs have no arms."""
        return self._champion.assess_scores(scores, vectors, columns, rows)

    def arm_of(self, card_id: str) -> ArmShare | None:
        """The arm of a card; None where limits and analysts are not divided."""
        share = self._split.share
        if not 0 < share < 1:
            return None
        if self._split.is_challenged(card_id):
            return ArmShare(self._challenger.arm.model_version, share)
        return ArmShare("", 1 - share)

    def move(self, table: pa.Table, row: int, card_id: str) -> None:
        """Note that a row's payment is made with another card than planned, which may be the other arm's."""
        self.rows_of_challenger(table)[row] = self._split.is_challenged(card_id)

    def count_rows(self, table: pa.Table, times: Ints, rows: slice) -> None:
        """As `Scoring.count_rows`, each row for its arm."""
        of_b = self.rows_of_challenger(table)[rows] & (0 < self._split.share < 1)
        self._champion.count_decided(times[rows][~of_b])
        self._champion.count_decided(times[rows][of_b], self._challenger.arm.model_version)

    def decide(
        self,
        tx: Transaction,
        vector: Floats,
        score: float,
        probability: float,
        block: Block | None = None,
        arm: ArmShare | None = None,
    ) -> Choice:
        """The choice by the card's model."""
        scoring = self._challenger if self._split.is_challenged(tx.card_id) else self._champion
        return scoring.decide(tx, vector, score, probability, block, arm)

    def reasons(self, vector: Floats) -> list[str]:
        """The champion's reasons; a split run is not written as an archive."""
        return self._champion.reasons(vector)
