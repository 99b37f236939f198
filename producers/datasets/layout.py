"""What a dataset's loader is: its name, the columns it reads, and how its rows become events."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from producers.history.manifest import SourceName
from producers.history.tables import TRANSACTIONS


class Batch(NamedTuple):
    """Some rows of a file as events, in the file's order."""

    transactions: pa.Table
    """`producers.history.tables.TRANSACTIONS`; what the file lacks is null."""
    is_fraud: NDArray[np.bool_]
    typology: pa.Array | None
    """Texts, null for honest rows; None if the file names none: then the layout's name stands for it."""
    rows: NDArray[np.int64]
    """The number by which each row is named in messages."""
    dropped: Mapping[str, int]
    """Rows that are well written but no event can carry, by reason."""


@dataclass(frozen=True)
class Layout:
    """One published layout."""

    name: SourceName
    title: str
    """For people who have to recognise it."""
    form: Literal["Parquet", "CSV"]
    columns: tuple[str, ...]
    """What is read; all of it must be there."""
    batches: Callable[[Path], Iterator[Batch]]
    """Read a file; raises FraudsimError for the first row that cannot be read."""
    version: int = 1
    """Goes up when the same file would give other events."""
    tx_id: str | None = None
    """The column that names transactions; None where ids are made from line numbers."""

    def fits(self, header: Collection[str]) -> bool:
        """Whether a header is of this layout, complete or not: it has more than half of the columns."""
        return 2 * sum(name in header for name in self.columns) > len(self.columns)

    @property
    def row_word(self) -> str:
        """CSV rows are named by their line, the header being line 1; Parquet rows count from 0."""
        return "line" if self.form == "CSV" else "row"


def events_table(columns: Mapping[str, pa.Array], rows: int) -> pa.Table:
    """Transactions of the columns that are there; the rest is null."""
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in TRANSACTIONS
    ]
    return pa.Table.from_arrays(arrays, schema=TRANSACTIONS)
