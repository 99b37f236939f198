"""The archived log for readers that replay it: records as Kafka gave them, accepted events, clock, ends."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import log_files, read_archived, read_log, read_ranges
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


def archived_records(
    run_dir: Path, topic: str, event: type[msgspec.Struct]
) -> Iterator[tuple[RecordMetadata, bytes | None]]:
    """Records with their value as bytes, in log order within each partition; reads a file at a time."""
    names = [f.name for f in msgspec.structs.fields(event)]
    for path in log_files(run_dir, topic):
        for row in read_archived(path, topic).to_pylist():
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


def archived_ends(run_dir: Path, partitions: int) -> list[int]:
    """Last archived offset by source: partitions of `transactions`, then of `labels`; -1 for none.

    Raises:
        FraudsimError: the archive has more than `partitions`.
    """
    ends = [-1] * (2 * partitions)
    for first_source, topic in ((0, TRANSACTIONS), (partitions, LABELS)):
        for path in log_files(run_dir, topic):
            for partition, ranges in read_ranges(path).items():
                if partition >= partitions:
                    raise FraudsimError(
                        f"{path} has partition {partition} of {topic}, FRAUDSIM_PARTITIONS is {partitions}: "
                        "set it to what the run had"
                    )
                source = first_source + partition
                ends[source] = max(ends[source], ranges[-1][1])
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
