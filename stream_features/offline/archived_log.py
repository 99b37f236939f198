"""The archived log for readers that replay it: records as Kafka gave them, accepted events, clock, ends."""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import log_files, read_archived, read_log, read_ranges
from fraudsim.archive.offset_ranges import gaps_in
from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Label, Segment, Transaction
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from stream_features.vector import SIZE


@dataclass(frozen=True, slots=True)
class RecordMetadata:
    """All of a record but its key and value."""

    partition: int
    offset: int
    broker_ts_ms: int
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Offsets of one partition without a gap, in one file."""

    first: int
    last: int
    path: Path


def _stretches(run_dir: Path, topic: str) -> dict[int, list[_Stretch]]:
    """What the files of a topic hold of each partition, in offset order; a refill's file may come last.

    Raises:
        FraudsimError: a file cannot be read.
    """
    stretches: dict[int, list[_Stretch]] = {}
    for path in log_files(run_dir, topic):
        try:
            ranges = read_ranges(path)
        except ValueError as error:
            raise FraudsimError(
                f"{run_dir}: {error}: restore it, or remove it and start the archiver, which reads its "
                "records again"
            ) from None
        for partition, pairs in ranges.items():
            stretches.setdefault(partition, []).extend(_Stretch(*pair, path) for pair in pairs)
    return {
        partition: sorted(items, key=lambda item: (item.first, item.last))
        for partition, items in stretches.items()
    }


class _OpenFiles:
    """Files of a topic that are being read; one is closed when each of its stretches has been read."""

    def __init__(self, topic: str, unread: Counter[Path]) -> None:
        """`unread` has the number of stretches of each file."""
        self._topic = topic
        self._unread = unread
        self._tables: dict[Path, pa.Table] = {}

    def read(self, partition: int, stretch: _Stretch) -> pa.Table:
        """The records of a stretch."""
        if stretch.path not in self._tables:
            self._tables[stretch.path] = read_archived(stretch.path, self._topic)
        table = self._tables[stretch.path]
        self._unread[stretch.path] -= 1
        if not self._unread[stretch.path]:
            del self._tables[stretch.path]
        offsets = pc.and_(
            pc.equal(table["partition"], partition),
            pc.and_(
                pc.greater_equal(table["offset"], stretch.first), pc.less_equal(table["offset"], stretch.last)
            ),
        )
        return table.filter(offsets)


def _in_log_order(run_dir: Path, topic: str) -> Iterator[dict[str, Any]]:
    """The archived rows of a topic, each once, in offset order within each partition.

    Files are read in the order of their numbers, apart from those that hold earlier offsets than files before
    them: an archiver that fetched lost records again wrote those last.
    """
    stretches = {partition: deque(items) for partition, items in _stretches(run_dir, topic).items()}
    files = _OpenFiles(topic, Counter(item.path for items in stretches.values() for item in items))
    unread = Counter((partition, item.path) for partition, items in stretches.items() for item in items)
    next_offsets = dict.fromkeys(stretches, 0)
    for path in log_files(run_dir, topic):
        for partition, items in stretches.items():
            while unread[partition, path]:
                stretch = items.popleft()
                unread[partition, stretch.path] -= 1
                for row in files.read(partition, stretch).to_pylist():
                    if row["offset"] >= next_offsets[partition]:
                        next_offsets[partition] = row["offset"] + 1
                        yield row


def archived_records(
    run_dir: Path, topic: str, event: type[msgspec.Struct]
) -> Iterator[tuple[RecordMetadata, bytes | None]]:
    """Records with their value as bytes, in offset order within each partition; reads a file at a time."""
    names = [f.name for f in msgspec.structs.fields(event)]
    for row in _in_log_order(run_dir, topic):
        headers = [(item["name"], item["value"]) for item in row["headers"]]
        value = row["raw"]
        if row["error"] is None:
            value = msgspec.json.encode({name: row[name] for name in names if row[name] is not None})
        yield RecordMetadata(row["partition"], row["offset"], row["broker_ts_ms"], headers), value


def accepted_transactions(run_dir: Path, clock: Clock) -> Iterator[tuple[RecordMetadata, Transaction]]:
    """The archived transactions that are valid and unique, in log order within each partition."""
    acceptance = Acceptance(clock, SIZE)
    for meta, value in archived_records(run_dir, TRANSACTIONS, Transaction):
        event = acceptance.transaction(meta.partition, meta.offset, meta.broker_ts_ms, meta.headers, value)
        if not isinstance(event, Rejected):
            yield meta, event


def accepted_labels(run_dir: Path, clock: Clock) -> Iterator[tuple[RecordMetadata, Label]]:
    """The archived labels that are valid and unique, in log order within each partition."""
    acceptance = Acceptance(clock, SIZE)
    for meta, value in archived_records(run_dir, LABELS, Label):
        event = acceptance.label(meta.partition, meta.offset, meta.broker_ts_ms, meta.headers, value)
        if not isinstance(event, Rejected):
            yield meta, event


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
            clock.add(LoggedSegment(segment, row["broker_ts_ms"]))
    if not clock:
        raise FraudsimError(f"{run_dir} has no archived clock: is it a run folder?")
    return clock


@dataclass(frozen=True, slots=True)
class ArchivedEnd:
    """How far the archive of one source is whole."""

    topic: str
    partition: int
    offset: int
    """Last offset before the first hole; -1 for none."""
    last: int
    """Last offset that is archived at all."""

    @property
    def has_hole(self) -> bool:
        return self.offset < self.last


def archived_ends(run_dir: Path, partitions: int) -> list[ArchivedEnd]:
    """How far the archive is whole, by source: partitions of `transactions`, then of `labels`.

    Raises:
        FraudsimError: the archive has more than `partitions`, or a file that cannot be read.
    """
    ends: list[ArchivedEnd] = []
    for topic in (TRANSACTIONS, LABELS):
        stretches = _stretches(run_dir, topic)
        if max(stretches, default=0) >= partitions:
            raise FraudsimError(
                f"{run_dir} has partition {max(stretches)} of {topic}, FRAUDSIM_PARTITIONS is {partitions}: "
                "set it to what the run had"
            )
        for partition in range(partitions):
            ranges = [(item.first, item.last) for item in stretches.get(partition, ())]
            last = max((end for _, end in ranges), default=-1)
            gaps = gaps_in(ranges)
            ends.append(ArchivedEnd(topic, partition, gaps[0][0] - 1 if gaps else last, last))
    return ends


def first_decisions(run_dir: Path) -> pa.Table:
    """The readable decisions; of several for one source offset, the first in the log."""
    table = read_log(run_dir, DECISIONS)
    table = table.filter(pc.is_null(table["error"]))
    sources = (
        np.column_stack([table["source_partition"].to_numpy(), table["source_offset"].to_numpy()])
        if table.num_rows
        else np.empty((0, 2))
    )
    _, first = np.unique(sources, axis=0, return_index=True)
    return table.take(pa.array(np.sort(first)))
