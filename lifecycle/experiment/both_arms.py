"""On which payments the two models of an experiment would act otherwise."""

from collections.abc import Callable, Container
from typing import NamedTuple

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.log.events import Transaction
from scorer.policy.policy import APPROVE, DECLINE, REVIEW
from simulator.line.scoring import PaymentColumns, Scoring


class BothArms:
    """Asks both models about payments, whoever decided them.

    A payment whose action needs what each arm has of its own counts as treated otherwise, though both prefer
    the same: reviews, since each arm has its analysts and the score ranks the cases, and declines where they
    have a daily limit.
    """

    def __init__(self, a: Scoring, b: Scoring) -> None:
        self._a, self._b = a, b
        self._limited = {REVIEW}
        if a.limits.declined_share_of_day is not None:
            self._limited.add(DECLINE)

    def ask(
        self,
        vectors: Floats,
        columns: PaymentColumns,
        rows: Ints,
        transaction: Callable[[int], Transaction],
        blocked: Container[int],
    ) -> "BothAnswers":
        """What both models would do with each row, before limits and chance.

        Args:
            vectors: those of `rows`, shape (n, SIZE).
            rows: of the table in `columns`.
            transaction: the transaction of a row.
            blocked: rows whose card is blocked: no model decides these, and they count as approved by both.
        """
        first, second = (model.assess(vectors, columns, rows) for model in (self._a, self._b))
        usable = np.isfinite(second.scores)
        actions = np.full((2, len(rows)), APPROVE)
        for index in np.flatnonzero(first.to_decide | (second.to_decide & usable)).tolist():
            row = int(rows[index])
            if row in blocked:
                continue
            tx, vector = transaction(row), vectors[index]
            for number, (model, assessed) in enumerate(((self._a, first), (self._b, second))):
                score, probability = float(assessed.scores[index]), float(assessed.probabilities[index])
                actions[number, index] = model.preferred(tx, vector, score, probability)
        actions[1, ~usable] = actions[0, ~usable]
        return BothAnswers(actions[0], actions[1], np.isin(actions[0], [*self._limited]), usable)


class BothAnswers(NamedTuple):
    """The actions of both models; arrays have shape (n,)."""

    a: Ints
    b: Ints
    limited: Flags
    """Whether A's action needs what each arm has of its own."""
    usable: Flags
    """Whether B's score is a number; where not, A decides in both arms."""

    @property
    def differ(self) -> Flags:
        """Whether a payment is treated otherwise in the other arm, or may be."""
        differ: Flags = (self.a != self.b) | self.limited
        return differ
