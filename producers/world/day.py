"""One day of a world: its transactions, their truth and their labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Flags, Int32s
from producers.labels.delays import LabelColumns
from producers.population.columns import Columns


@dataclass(frozen=True, eq=False)
class Day:
    """Transactions of one day, sorted by (ts, tx_id); every array has one entry per row."""

    number: int
    """Days since the world's day 0."""
    transactions: Columns
    tx_number: NDArray[np.uint64]
    """Transaction ids as numbers; `NUMERIC_TRANSACTIONS` in `producers.history.tables` formats them."""
    typology: NDArray[np.int8]
    """Index into `World.typologies`, -1 for honest transactions."""
    campaign: Int32s
    """Index into `campaign_ids`, -1 for honest transactions."""
    campaign_ids: list[str]
    labels: LabelColumns
    """Every label that these transactions will ever get."""

    @property
    def is_fraud(self) -> Flags:
        return self.typology >= 0
