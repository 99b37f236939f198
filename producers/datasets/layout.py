"""The interface of a dataset's loader: its name, the columns it reads, and how its rows become events."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa

from fraudsim.arrays import Flags, Ints
from producers.history.manifest import SourceName
from producers.history.tables import TRANSACTIONS


class Batch(NamedTuple):
    """Rows of a file as events, in the file's order."""

    transactions: pa.Table
    """Of the schema `producers.history.tables.TRANSACTIONS`; fields that the file lacks are null."""
    is_fraud: Flags
    typology: pa.Array | None
    """Texts, null for honest rows; None if the file has no typologies: the layout's name is used instead."""
    rows: Ints
    """The number of each row in error messages."""
    dropped: Mapping[str, int]
    """Count of valid rows that no event can represent, by reason."""


@dataclass(frozen=True)
class Layout:
    """One published layout.

    `testing.contracts.loader` checks what holds for every layout.
    """

    name: SourceName
    title: str
    """The name by which people know it, for messages."""
    form: Literal["Parquet", "CSV"]
    columns: tuple[str, ...]
    """The columns that are read; all of them must exist."""
    batches: Callable[[Path], Iterator[Batch]]
    """Reads a file; raises FraudsimError for the first bad row."""
    version: int = 1
    """Incremented when the same file would give other events."""
    tx_id: str | None = None
    """The column of transaction ids; None if ids are made from line numbers."""
    ids: Mapping[str, str] = field(default_factory=dict)
    """The file's column by the event field, for ids that are or begin with the column's text."""

    def fits(self, header: Collection[str]) -> bool:
        """Whether a header is of this layout: it has more than half of the columns."""
        return 2 * sum(name in header for name in self.columns) > len(self.columns)

    @property
    def row_word(self) -> str:
        """The word for a row's number: CSV rows have lines (the header is 1), Parquet rows count from 0."""
        return "line" if self.form == "CSV" else "row"


def events_table(columns: Mapping[str, pa.Array], rows: int) -> pa.Table:
    """A table of transactions from some columns; the other columns are null.

    Args:
        columns: by name, each of length `rows`.
    """
    arrays = [
        columns[one.name].cast(one.type) if one.name in columns else pa.nulls(rows, one.type)
        for one in TRANSACTIONS
    ]
    return pa.Table.from_arrays(arrays, schema=TRANSACTIONS)
