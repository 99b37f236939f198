"""What was decided on a stretch, and what became of each payment, as columns."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags, Floats, Ints
from fraudsim.log.events import ACTIONS, Action, Block, Label, Transaction
from producers.labels.prices import Price
from producers.ledger.entry import Entry
from scorer.policy.policy import APPROVE, Choice
from simulator.line.traffic import Stretch

ACTION_INDEX: Final[dict[Action, int]] = {action: index for index, action in enumerate(ACTIONS)}
KINDS: Final = Price._fields


@dataclass(eq=False)
class DecidedStretch:
    """One stretch; arrays have one entry per row, rows in order of time.

    Rows that no policy had to see are approved; what differs stands by row in the mappings.
    """

    stretch: Stretch
    vectors: Floats
    scores: Floats
    probabilities: Doubles
    seen_to: Ints
    """Event time before which events are in the vector."""
    action: "np.ndarray[tuple[int], np.dtype[np.int8]]"
    """Index in `ACTIONS`."""
    present: Flags
    """False for a payment of a campaign that had ended."""
    paid: Flags
    prices: Ints
    """Cents by kind of `Price`, shape (n, 4)."""
    amount: Ints
    choices: dict[int, Choice] = field(default_factory=dict)
    blocks: dict[int, Block] = field(default_factory=dict)
    changed: dict[int, Transaction] = field(default_factory=dict)
    """Payments that a campaign changed."""
    labels: list[Label] = field(default_factory=list)
    """Labels that became known during the stretch, in this order."""

    @classmethod
    def approved(cls, stretch: Stretch, vectors: Floats, seen_to: Ints) -> "DecidedStretch":
        """With every payment approved and paid."""
        n = len(stretch)
        amount = stretch.transactions["amount_cents"].to_numpy().astype(np.int64)
        prices = np.zeros((n, len(KINDS)), np.int64)
        prices[:, 0] = np.where(stretch.is_fraud, amount, 0)
        return cls(
            stretch, vectors, np.zeros(n, np.float32), np.zeros(n, np.float64), seen_to,
            np.full(n, APPROVE, np.int8), np.ones(n, np.bool_), np.ones(n, np.bool_), prices, amount,
        )  # fmt: skip

    def resolve_row(self, row: int, entry: Entry) -> None:
        """Note what became of a payment."""
        self.paid[row] = entry.outcome.paid
        self.prices[row] = entry.price

    def leave_out(self, row: int) -> None:
        """Note that a payment was not made: its campaign had ended."""
        self.present[row] = self.paid[row] = False
        self.prices[row] = 0

    def transaction(self, row: int) -> Transaction:
        """A row's transaction as it was made."""
        changed = self.changed.get(row)
        return self.stretch.transaction(row) if changed is None else changed
