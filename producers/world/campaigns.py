"""Campaigns of one typology, as columns."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.population.columns import Columns


class Campaigns(NamedTuple):
    """Several campaigns of one typology."""

    columns: Columns
    """Rows of all campaigns."""
    campaign: NDArray[np.int32]
    """Index into `ids`, one per row."""
    ids: list[str]
