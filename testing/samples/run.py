"""A run folder as the archiver leaves it, written by hand: no Kafka, no Redis."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.log_files import log_folder, write_file
from fraudsim.archive.records import Record, to_table
from fraudsim.log.events import Decision, Label, LogPrefix, Stamps, Transaction, encoder
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from producers.history.tables import LABELS as LABEL_SCHEMA
from producers.history.tables import TRANSACTIONS as TRANSACTION_SCHEMA
from stream_features.catalogue.features import HASH
from stream_features.kernels.state import Vector
from stream_features.vector import as_list
from testing.samples.log import T0, LogPosition, make_segment

WALL: Final = 1_800_000_000_000
"""Wall-clock time of the clock's first segment, whose event time is `T0`; its speed is 1."""
SEGMENT: Final = make_segment(wall_epoch_ms=WALL)


def make_decision(
    at_hand: Transaction,
    position: LogPosition,
    prefix: LogPrefix,
    features: Vector,
    *,
    stale: bool = False,
    degraded: bool = False,
    staleness_ms: float = 0.0,
) -> Decision:
    """The decision that a scorer writes for the transaction at a position of the log."""
    return Decision(
        tx_id=at_hand.tx_id,
        ts=at_hand.ts,
        card_id=at_hand.card_id,
        amount_cents=at_hand.amount_cents,
        score=0.5,
        action="approve",
        reasons=[],
        rule_hits=[],
        model_version="m",
        policy_version="p",
        variant="champion",
        stamps=Stamps(intended=1, received=2, state_read=3, features=4, scored=5, decided=at_hand.ts),
        source_partition=position[0],
        source_offset=position[1],
        prefix=prefix,
        staleness_ms=staleness_ms,
        features=as_list(features),
        feature_hash=HASH,
        stale=stale,
        degraded=degraded,
    )


def write_run(
    folder: Path,
    transactions: Sequence[tuple[LogPosition, Transaction]],
    decisions: Iterable[Decision],
    labels: Sequence[tuple[LogPosition, Label]] = (),
    *,
    history: Sequence[Transaction] = (),
    history_labels: Sequence[Label] = (),
) -> Path:
    """Write history, clock and log into a folder, and return it.

    All records have the broker time of the newest transaction's event time: the latest that the clock allows.
    """
    history_folder = folder / "history"
    history_folder.mkdir()
    tables: Iterable[tuple[str, Sequence[Transaction | Label], pa.Schema]] = (
        ("transactions", history, TRANSACTION_SCHEMA),
        ("labels", history_labels, LABEL_SCHEMA),
    )
    for name, history_events, schema in tables:
        rows = [{column: getattr(event, column) for column in schema.names} for event in history_events]
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), history_folder / f"{name}.parquet")
    log_folder(folder).mkdir()
    arrival_ms = WALL + max((tx.ts for _, tx in transactions), default=T0) - T0
    topics: Iterable[tuple[str, Sequence[tuple[LogPosition, msgspec.Struct]], int]] = (
        (CLOCK, [((0, 0), SEGMENT)], WALL),
        (TRANSACTIONS, transactions, arrival_ms),
        (LABELS, labels, arrival_ms),
        (DECISIONS, [((0, offset), decision) for offset, decision in enumerate(decisions)], arrival_ms),
    )
    for topic, events, broker_ts_ms in topics:
        records = [
            Record(partition, offset, broker_ts_ms, b"c", [("segment", b"0")], encoder.encode(event))
            for (partition, offset), event in events
        ]
        if records:
            write_file(folder, topic, 0, to_table(topic, records))
    return folder
