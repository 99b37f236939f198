"""The archived log as the judge sees it: what counts, by key, and where each stands."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudsim.log.events import Label, Transaction
from stream_features.encode import ROW_OF, label_row
from stream_features.offline.archived_log import accepted_labels, accepted_transactions, archived_clock
from stream_features.vector import keys_of

Ints = npt.NDArray[np.int64]
Key = tuple[str, str]
Position = tuple[int, int]
"""(partition, offset)."""


class HistoryTables(NamedTuple):
    """The history's tables."""

    transactions: pa.Table
    labels: pa.Table


@dataclass
class KeyEvents:
    """What the log added to one key, in order of (partition, offset): kernel rows, and where each stands."""

    at: list[Position] = field(default_factory=list)
    rows: list[tuple[int, ...]] = field(default_factory=list)

    def array(self) -> Ints:
        """The rows, shape (n, width)."""
        return np.array(self.rows, np.int64)


class LogEvents:
    """Valid, unique transactions and labels.

    Raises:
        FraudsimError: the archive has no clock.
    """

    def __init__(self, run_dir: Path, partitions: int) -> None:
        self.partitions = partitions
        self.clock = archived_clock(run_dir)
        self.transactions: dict[Position, Transaction] = {}
        self.labels: dict[Position, Label] = {}
        self.by_key: dict[Key, KeyEvents] = {}
        self.labels_by_key: dict[Key, KeyEvents] = {}
        self.id_of: dict[str, Position] = {}
        for at, tx in accepted_transactions(run_dir, self.clock):
            self._add_transaction(at.partition, at.offset, tx)
        for at, label in accepted_labels(run_dir, self.clock):
            if label.merchant_id is not None:
                self.labels[at.partition, at.offset] = label
                found = self.labels_by_key.setdefault(("merchant", label.merchant_id), KeyEvents())
                found.at.append((at.partition, at.offset))
                found.rows.append(label_row(label))

    def _add_transaction(self, partition: int, offset: int, tx: Transaction) -> None:
        self.transactions[partition, offset] = tx
        self.id_of[tx.tx_id] = (partition, offset)
        for entity, key in keys_of(tx):
            found = self.by_key.setdefault((entity, key), KeyEvents())
            found.at.append((partition, offset))
            found.rows.append(ROW_OF[entity](tx))
