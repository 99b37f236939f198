"""The accepted events of an archived log, by log position and by key."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Ints
from fraudsim.log.events import Label, LogPrefix, Transaction
from stream_features.encode import ROW_OF, label_row
from stream_features.offline.archived_log import accepted_labels, accepted_transactions, archived_clock
from stream_features.vector import keys_of

Key = tuple[str, str]
"""(entity, key)."""
Position = tuple[int, int]
"""(partition, offset)."""


class ServedDecision(NamedTuple):
    """What a decision says about the making of its vector."""

    tx: Transaction
    prefix: LogPrefix
    lag_ms: int = 0
    """Windows have only events from before `tx.ts` less this; 0: all that the prefix holds."""


class HistoryTables(NamedTuple):
    """The history's tables."""

    transactions: pa.Table
    labels: pa.Table


@dataclass
class KeyEvents:
    """What the log added to one key, in order of (partition, offset): kernel rows and their positions."""

    positions: list[Position] = field(default_factory=list)
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
        self.position_of_id: dict[str, Position] = {}
        for meta, tx in accepted_transactions(run_dir, self.clock):
            self._add_transaction((meta.partition, meta.offset), tx)
        for meta, label in accepted_labels(run_dir, self.clock):
            if label.merchant_id is not None:
                self._add_label((meta.partition, meta.offset), label, label.merchant_id)

    def _add_transaction(self, position: Position, tx: Transaction) -> None:
        self.transactions[position] = tx
        self.position_of_id[tx.tx_id] = position
        for entity, key in keys_of(tx):
            events = self.by_key.setdefault((entity, key), KeyEvents())
            events.positions.append(position)
            events.rows.append(ROW_OF[entity](tx))

    def _add_label(self, position: Position, label: Label, merchant_id: str) -> None:
        self.labels[position] = label
        events = self.labels_by_key.setdefault(("merchant", merchant_id), KeyEvents())
        events.positions.append(position)
        events.rows.append(label_row(label))
