"""The archived log as the judge sees it: what counts, by key, and where each stands."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraudsim.archive import read_log
from fraudsim.clock import Clock, PlacedSegment
from fraudsim.errors import FraudsimError
from fraudsim.events import Label, Segment, Transaction
from fraudsim.topics import CLOCK, LABELS, TRANSACTIONS
from fraudsim.validity import Judge, Rejected
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
        for row, value in _records(run_dir, TRANSACTIONS, Transaction):
            tx = judge.transaction(row.partition, row.offset, row.broker_ts_ms, row.headers, value)
            if not isinstance(tx, Rejected):
                self._add_transaction(row.partition, row.offset, tx)
        for row, value in _records(run_dir, LABELS, Label):
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


@dataclass(frozen=True, slots=True)
class _Record:
    partition: int
    offset: int
    broker_ts_ms: int
    headers: list[tuple[str, bytes]]


def _records(
    run_dir: Path, topic: str, event: type[msgspec.Struct]
) -> Iterator[tuple[_Record, bytes | None]]:
    """Archived records with their value as bytes again, in log order per partition."""
    names = [f.name for f in msgspec.structs.fields(event)]
    for row in read_log(run_dir, topic).to_pylist():
        headers = [(item["name"], item["value"]) for item in row["headers"]]
        value = row["raw"]
        if row["error"] is None:
            value = msgspec.json.encode({name: row[name] for name in names if row[name] is not None})
        yield _Record(row["partition"], row["offset"], row["broker_ts_ms"], headers), value


def archived_clock(run_dir: Path) -> Clock:
    """The run's clock from its archive.

    Raises:
        FraudsimError: the archive has no clock.
    """
    names = [f.name for f in msgspec.structs.fields(Segment)]
    clock = Clock()
    for row in read_log(run_dir, CLOCK).to_pylist():
        if row["error"] is None:
            segment = Segment(**{name: row[name] for name in names})
            clock.add(PlacedSegment(segment, row["broker_ts_ms"]))
    if not clock:
        raise FraudsimError(f"{run_dir} has no archived clock: is it a run folder?")
    return clock
