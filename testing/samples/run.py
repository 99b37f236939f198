"""A run folder as the archiver leaves it, written by hand: no Kafka, no Redis."""

import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.log_files import log_folder, write_file
from fraudsim.archive.records import Record, to_table
from fraudsim.log.events import Decision, Stamps, encoder
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from producers.history.tables import LABELS as LABEL_SCHEMA
from producers.history.tables import TRANSACTIONS as TRANSACTION_SCHEMA
from stream_features.catalogue.features import HASH
from stream_features.vector import as_list
from testing.samples.log import T0, make_segment

WALL = 1_800_000_000_000
"""Wall-clock time of the clock's first segment; event time is T0 then, and goes at its speed."""
SEGMENT = make_segment(wall_epoch_ms=WALL)


def make_decision(at_hand, place, prefix, features, *, stale=False, degraded=False, staleness_ms=0.0):
    """What a scorer would have written for the transaction at a (partition, offset)."""
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
        source_partition=place[0],
        source_offset=place[1],
        prefix=prefix,
        staleness_ms=staleness_ms,
        features=as_list(features),
        feature_hash=HASH,
        stale=stale,
        degraded=degraded,
    )


def write_run(folder, transactions, decisions, labels=(), *, history=(), history_labels=()):
    """Write history, clock and log; `transactions`, `labels` are ((partition, offset), event) pairs.

    Each reached the broker as late as the clock allows: at the event time of the newest of all.
    """
    where = folder / "history"
    where.mkdir()
    for name, events, schema in (
        ("transactions", history, TRANSACTION_SCHEMA),
        ("labels", history_labels, LABEL_SCHEMA),
    ):
        rows = [{column: getattr(event, column) for column in schema.names} for event in events]
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), where / f"{name}.parquet")
    log_folder(folder).mkdir()
    arrived = WALL + max((tx.ts for _, tx in transactions), default=T0) - T0
    topics = (
        (CLOCK, [((0, 0), SEGMENT)], WALL),
        (TRANSACTIONS, transactions, arrived),
        (LABELS, labels, arrived),
        (DECISIONS, [((0, offset), item) for offset, item in enumerate(decisions)], arrived),
    )
    for topic, events, broker_ts_ms in topics:
        records = [
            Record(partition, offset, broker_ts_ms, b"c", [("segment", b"0")], encoder.encode(event))
            for (partition, offset), event in events
        ]
        if records:
            write_file(folder, topic, 0, to_table(topic, records))
    return folder
