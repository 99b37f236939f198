"""Where the two batch engines' SQL differs; all else of it is the same text."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Dialect:
    """How one engine writes what the other writes otherwise."""

    inline: str
    """Between AS and a common table expression that is to be computed wherever it is read."""
    whole: str
    """A type of whole numbers of more than 64 bits: sums of squares need it."""
    to_even: str
    """A double rounded to the nearest whole number, halves to the even one."""
    first: int
    """The place of a list's first entry."""


DUCKDB: Final = Dialect("NOT MATERIALIZED ", "HUGEINT", "round_even({}, 0)", 1)
SPARK: Final = Dialect("", "DECIMAL(38, 0)", "rint({})", 0)
