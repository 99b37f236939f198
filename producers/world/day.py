"""One day of a world: its transactions, their truth and their labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.labels.delays import LabelColumns
from producers.population.columns import Columns


@dataclass(frozen=True, eq=False)
class Day:
    """One day of a world; rows sorted by (ts, tx_id)."""

    number: int
    """Days since the world's day 0."""
    transactions: Columns
    tx_number: NDArray[np.uint64]
    """The ids, as numbers; `tables.NUMBERED` says how they are spelled."""
    typology: NDArray[np.int8]
    """Index into `World.typologies`, -1 for honest transactions."""
    campaign: NDArray[np.int32]
    """Index into `campaign_ids`, -1 for honest transactions."""
    campaign_ids: list[str]
    labels: LabelColumns
    """Every label of this day's transactions, whenever it comes."""

    @property
    def is_fraud(self) -> NDArray[np.bool_]:
        return self.typology >= 0
