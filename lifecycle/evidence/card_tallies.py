"""What a bank sees of each card since a stage began: counts and money, as columns by card. Pure."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags

COLUMNS: Final = (
    "payments",
    "declines",
    "alerts",
    "step_ups",
    "denials",
    "verdicts",
    "cleared",
    "reports",
    "errors",
    "timed",
    "slow",
    "loss",
    "parted_loss",
    "true_loss",
    "parted",
)
"""`loss` is net loss as a bank sees it, `parted_loss` what of it came since the arms parted on the card,
`true_loss` net loss by the truth; cents. The others are counts; `parted` is above 0 for such a card."""


class CardTallies:
    """Columns by card; cards are added as they come."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._in_b: list[bool] = []
        self._columns: dict[str, Doubles] = {name: np.zeros(64) for name in COLUMNS}

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, card: str) -> bool:
        return card in self._index

    def add(self, card: str, in_b: bool, amounts: Mapping[str, float]) -> None:
        """Add to a card's columns; its arm is that of its first record."""
        index = self._index.get(card)
        if index is None:
            index = self._index[card] = len(self._index)
            self._in_b.append(in_b)
            if index >= len(self._columns["payments"]):
                self._columns = {
                    name: np.concatenate([column, np.zeros(len(column))])
                    for name, column in self._columns.items()
                }
        for name, amount in amounts.items():
            self._columns[name][index] += amount

    def arm_of(self, card: str) -> bool | None:
        """Whether a card is B's; None if it was not seen."""
        index = self._index.get(card)
        return None if index is None else self._in_b[index]

    @property
    def in_b(self) -> Flags:
        return np.array(self._in_b, np.bool_)

    def __getitem__(self, name: str) -> Doubles:
        return self._columns[name][: len(self._index)]
