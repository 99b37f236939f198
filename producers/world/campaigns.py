"""Campaigns of one typology, as columns."""

from typing import NamedTuple

from fraudsim.arrays import Int32s
from producers.population.columns import Columns


class Campaigns(NamedTuple):
    """Several campaigns of one typology."""

    columns: Columns
    """Rows of all campaigns."""
    campaign: Int32s
    """Index into `ids`, one per row."""
    ids: list[str]
