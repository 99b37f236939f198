"""The loader of ULB's card transactions, creditcard.csv: they are scored, not replayed.

Dal Pozzolo, Caelen, Johnson and Bontempi, "Calibrating Probability with Undersampling for Unbalanced
Classification", IEEE SSCI 2015; https://www.kaggle.com/datasets/mlg-ulb/creditcardfraud. Its columns are Time
(seconds since the first row), V1 to V28 (principal components), Amount and Class: no card and no merchant, so
there is no entity to keep windows of.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_AMOUNT_CENTS
from producers.datasets.csv_file import read_blocks

COMPONENTS: Final = tuple(f"V{number}" for number in range(1, 29))
COLUMNS: Final = ("Time", *COMPONENTS, "Amount", "Class")
MAX_ROWS: Final = 5_000_000
"""17 times the published file; the rows are held in memory, 144 bytes each."""
_MAX_SECONDS: Final = 31_622_400
"""A year."""
_MAX_COMPONENT: Final = 1e6


@dataclass(frozen=True, eq=False)
class UlbRows:
    """A file that has been read and checked, in its own order, which is that of time."""

    seconds: Doubles
    """Seconds since the first row, shape (n,)."""
    components: Floats
    """V1 to V28, shape (n, 28)."""
    amount_cents: Ints
    is_fraud: Flags

    def __len__(self) -> int:
        return len(self.seconds)


def is_ulb(header: Collection[str]) -> bool:
    """Whether a header is of this layout."""
    return set(COLUMNS) <= set(header)


def read_ulb(path: Path) -> UlbRows:
    """Read a file, block by block.

    Raises:
        FraudsimError: the file cannot be read, a column is missing, a row is bad or earlier than the one
            before it, or there are no rows or too many; the message names the file and the row.
    """
    seconds, components, cents, frauds, rows, last = [], [], [], [], 0, 0.0
    for block in read_blocks("ulb", path, COLUMNS):
        rows += len(block)
        if rows > MAX_ROWS:
            raise FraudsimError(f"ulb {path}: has more than {MAX_ROWS:,} rows; split it and score the parts")
        time = block.numbers("Time", 0, _MAX_SECONDS)
        earlier = np.diff(time, prepend=last) < 0
        block.refuse("Time", earlier, "is earlier than the row before: files were mixed, or rows shuffled")
        last = float(time[-1])
        amount = block.cents("Amount")
        block.refuse("Amount", amount < 0, "is below 0")
        block.refuse("Amount", amount > MAX_AMOUNT_CENTS, f"is over {MAX_AMOUNT_CENTS // 100}")
        values = [block.numbers(name, -_MAX_COMPONENT, _MAX_COMPONENT) for name in COMPONENTS]
        seconds.append(time)
        components.append(np.stack(values, axis=1).astype(np.float32))
        cents.append(amount)
        frauds.append(block.flags("Class", "0", "1"))
    if rows == 0:
        raise FraudsimError(f"ulb {path}: there are no rows")
    return UlbRows(
        seconds=np.concatenate(seconds),
        components=np.concatenate(components),
        amount_cents=np.concatenate(cents),
        is_fraud=np.concatenate(frauds),
    )
