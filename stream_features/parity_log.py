"""The archived log as the judge sees it: what counts, by key, and where each stands."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudsim.events import Label, Transaction
from fraudsim.topics import LABELS, TRANSACTIONS
from fraudsim.validity import Judge, Rejected
from stream_features.archived_log import archived_clock, archived_records
from stream_features.encode import ROW_OF, label_row
from stream_features.vector import keys_of

Ints = npt.NDArray[np.int64]
Key = tuple[str, str]
Place = tuple[int, int]
"""(partition, offset)."""


class History(NamedTuple):
    """The history's tables."""

    transactions: pa.Table
    labels: pa.Table


@dataclass
class KeyEvents:
    """What the log added to one key, in order of (partition, offset): kernel rows, and where each stands."""

    at: list[Place] = field(default_factory=list)
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
        judge = Judge(self.clock)
        self.transactions: dict[Place, Transaction] = {}
        self.labels: dict[Place, Label] = {}
        self.by_key: dict[Key, KeyEvents] = {}
        self.labels_by_key: dict[Key, KeyEvents] = {}
        self.id_of: dict[str, Place] = {}
        for row, value in archived_records(run_dir, TRANSACTIONS, Transaction):
            tx = judge.transaction(row.partition, row.offset, row.broker_ts_ms, row.headers, value)
            if not isinstance(tx, Rejected):
                self._add_transaction(row.partition, row.offset, tx)
        for row, value in archived_records(run_dir, LABELS, Label):
            label = judge.label(row.partition, row.offset, row.broker_ts_ms, row.headers, value)
            if not isinstance(label, Rejected) and label.merchant_id is not None:
                self.labels[row.partition, row.offset] = label
                found = self.labels_by_key.setdefault(("merchant", label.merchant_id), KeyEvents())
                found.at.append((row.partition, row.offset))
                found.rows.append(label_row(label))

    def _add_transaction(self, partition: int, offset: int, tx: Transaction) -> None:
        self.transactions[partition, offset] = tx
        self.id_of[tx.tx_id] = (partition, offset)
        for entity, key in keys_of(tx):
            found = self.by_key.setdefault((entity, key), KeyEvents())
            found.at.append((partition, offset))
            found.rows.append(ROW_OF[entity](tx))
