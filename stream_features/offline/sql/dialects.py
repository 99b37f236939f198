"""SQL dialects: what DuckDB and Spark write differently. The rest of the SQL is the same text."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Dialect:
    """One engine's spelling of what the other engine spells otherwise."""

    inline: str
    """Between AS and a common table expression that is computed again wherever it is read."""
    wide_integer: str
    """An integer type of more than 64 bits: sums of squares need it."""
    round_half_even: str
    """A double rounded to the nearest integer, halves to the even one; `{}` is the argument."""
    first_index: int
    """Index of a list's first entry."""


DUCKDB: Final = Dialect("NOT MATERIALIZED ", "HUGEINT", "round_even({}, 0)", 1)
SPARK: Final = Dialect("", "DECIMAL(38, 0)", "rint({})", 0)
