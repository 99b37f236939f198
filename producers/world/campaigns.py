"""Campaigns of one typology as columns."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from producers.population.columns import Columns


class Campaigns(NamedTuple):
    """Campaigns of one typology."""

    columns: Columns
    which: NDArray[np.int32]
    """Index into `ids` of each row."""
    ids: list[str]
