"""The archived log for who folds it again: its records as Kafka gave them, its clock, its ends."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.archive import log_files, read_archived, read_log, read_ranges
from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, PlacedSegment
from fraudsim.log.events import Label, Segment, Transaction
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS


@dataclass(frozen=True, slots=True)
class LogPosition:
    """Where a record stood, and what came with it."""

    partition: int
    offset: int
    broker_ts_ms: int
    headers: list[tuple[str, bytes]]


def archived_records(
    run_dir: Path, topic: str, event: type[msgspec.Struct]
) -> Iterator[tuple[LogPosition, bytes | None]]:
    """Records with their value as bytes again, in the log's order within each partition, a file at a time."""
    names = [f.name for f in msgspec.structs.fields(event)]
    for path in log_files(run_dir, topic):
        for row in read_archived(path, topic).to_pylist():
            headers = [(item["name"], item["value"]) for item in row["headers"]]
            value = row["raw"]
            if row["error"] is None:
                value = msgspec.json.encode({name: row[name] for name in names if row[name] is not None})
            yield LogPosition(row["partition"], row["offset"], row["broker_ts_ms"], headers), value


def accepted_transactions(run_dir: Path, clock: Clock) -> Iterator[tuple[LogPosition, Transaction]]:
    """The archived transactions that count, in the log's order within each partition."""
    judge = Acceptance(clock)
    for at, value in archived_records(run_dir, TRANSACTIONS, Transaction):
        event = judge.transaction(at.partition, at.offset, at.broker_ts_ms, at.headers, value)
        if not isinstance(event, Rejected):
            yield at, event


def accepted_labels(run_dir: Path, clock: Clock) -> Iterator[tuple[LogPosition, Label]]:
    """The archived labels that count, likewise."""
    judge = Acceptance(clock)
    for at, value in archived_records(run_dir, LABELS, Label):
        event = judge.label(at.partition, at.offset, at.broker_ts_ms, at.headers, value)
        if not isinstance(event, Rejected):
            yield at, event


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


def archived_ends(run_dir: Path, partitions: int) -> list[int]:
    """Last offset archived, by source (partitions of `transactions`, then of `labels`); -1 where none is.

    Raises:
        FraudsimError: the archive has more partitions than that.
    """
    ends = [-1] * (2 * partitions)
    for at, topic in ((0, TRANSACTIONS), (partitions, LABELS)):
        for path in log_files(run_dir, topic):
            for partition, stretches in read_ranges(path).items():
                if partition >= partitions:
                    raise FraudsimError(
                        f"{path} has partition {partition} of {topic}, FRAUDSIM_PARTITIONS is {partitions}: "
                        "set it to what the run had"
                    )
                ends[at + partition] = max(ends[at + partition], stretches[-1][1])
    return ends


def first_decisions(run_dir: Path) -> pa.Table:
    """Of several decisions for one source offset the first in the log stands."""
    table = read_log(run_dir, DECISIONS)
    table = table.filter(pc.is_null(table["error"]))
    sources = (
        np.column_stack([table["source_partition"].to_numpy(), table["source_offset"].to_numpy()])
        if table.num_rows
        else np.empty((0, 2))
    )
    _, first = np.unique(sources, axis=0, return_index=True)
    return table.take(pa.array(np.sort(first)))
