"""`features rebuild`: restore the state that Redis or Kafka has lost, from history and archived log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from aiokafka import TopicPartition

from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import SHORT_WAIT_S, open_clock
from fraudsim.log.consumer import log_ranges
from fraudsim.log.events import Label, Transaction
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.catalogue.features import KEY_FIELD, LABELLED
from stream_features.encode import ROW_OF, label_row
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, NO_ROWS
from stream_features.offline.archived_log import (
    ArchivedEnd,
    accepted_labels,
    accepted_transactions,
    archived_clock,
    archived_ends,
)
from stream_features.offline.history_tables import history_fingerprint, read_history_tables
from stream_features.store.eviction import check_keeps_all
from stream_features.store.prime import (
    StateTable,
    check_history,
    replace_state,
    state_of_history,
    write_reported,
)
from stream_features.store.redis_access import check_answers, open_redis
from stream_features.vector import keys_of

FOLD_RECORDS: Final = 50_000
"""Records collected before they are folded: more would only take memory."""


@dataclass(frozen=True)
class RebuildResult:
    """What a rebuild wrote."""

    keys: int
    slots: int
    records: int
    """Valid transactions and labels of the archive."""
    ends: list[int]
    """Last offset folded, by source; the worker continues after it."""
    holes: list[str]
    """Where the archive lacks records, in words: the state ends before, and the log has the rest."""


@dataclass(slots=True)
class _KeyRows:
    """Rows to be folded into one key."""

    rows: list[tuple[int, ...]] = field(default_factory=list)
    labels: list[tuple[int, ...]] = field(default_factory=list)


class _StateBuilder:
    """Folds events into the states of `table`, many rows of a key at a time."""

    def __init__(self, table: StateTable, horizon_ms: int) -> None:
        self.table = table
        self.records = 0
        self._horizon_ms = horizon_ms
        self._pending: dict[tuple[str, str], _KeyRows] = {}

    def add_transaction(self, tx: Transaction) -> None:
        for key in keys_of(tx):
            self._pending.setdefault(key, _KeyRows()).rows.append(ROW_OF[key[0]](tx))
        self._count_record()

    def add_label(self, label: Label) -> None:
        for entity in LABELLED:
            key = getattr(label, KEY_FIELD[entity])
            if key is not None:
                self._pending.setdefault((entity, key), _KeyRows()).labels.append(label_row(label))
        self._count_record()

    def _count_record(self) -> None:
        self.records += 1
        if self.records % FOLD_RECORDS == 0:
            self.fold()

    def fold(self) -> None:
        for key, pending in self._pending.items():
            old = self.table.get(key)
            state = old if old is not None else states.empty(key[0])
            rows = np.array(sorted(pending.rows), np.int64) if pending.rows else NO_ROWS[key[0]]
            labels = np.array(pending.labels, np.int64) if pending.labels else NO_LABELS
            self.table[key] = states.fold(key[0], state, rows, labels, self._horizon_ms)
        self._pending.clear()


def fold_archive(table: StateTable, run_dir: Path, ends: Sequence[ArchivedEnd]) -> int:
    """Fold an archived log up to `ends` into the states of `table`, in place.

    Returns the number of valid records.
    """
    clock = archived_clock(run_dir)
    builder = _StateBuilder(table, clock.horizon_ms)
    last = {(end.topic, end.partition): end.offset for end in ends}
    for meta, tx in accepted_transactions(run_dir, clock):
        if meta.offset <= last[TRANSACTIONS, meta.partition]:
            builder.add_transaction(tx)
    for meta, label in accepted_labels(run_dir, clock):
        if meta.offset <= last[LABELS, meta.partition]:
            builder.add_label(label)
    builder.fold()
    return builder.records


def rebuild(
    settings: Settings, run_dir: Path, history: Path | None = None, slots: Iterable[int] = ()
) -> RebuildResult:
    """Write the state of history and archive, and the watermarks that the worker continues from.

    Args:
        history: folder of the history; by default the run's own, where the log follows one.
        slots: the slots to restore; by default all.

    Raises:
        FraudsimError: archive, history and log do not belong together; the log no longer holds the
            records after the archive; or a slot does not exist.
    """
    segment = open_clock(settings, SHORT_WAIT_S).clock.first
    check_answers(settings)  # before the work of minutes
    archived = archived_clock(run_dir).first
    if archived.log_id != segment.log_id:
        raise FraudsimError(f"{run_dir} is the archive of log {archived.log_id}, Kafka has {segment.log_id}")
    chosen_slots = sorted(set(slots)) or list(range(settings.slots))
    if not 0 <= chosen_slots[0] <= chosen_slots[-1] < settings.slots:
        raise FraudsimError(
            f"--slot {chosen_slots[-1]}: FRAUDSIM_SLOTS is {settings.slots}, the last is one less"
        )
    ends = archived_ends(run_dir, settings.partitions)
    _check_log_continues(settings, run_dir, ends)
    table: StateTable = {}
    labels: pa.Table | None = None
    if segment.history_fingerprint or history is not None:
        folder = history or run_dir / "history"
        check_history(history_fingerprint(folder), segment)
        transactions, labels = read_history_tables(folder)
        table = state_of_history(transactions, labels, segment.event_epoch_ms, segment.horizon_ms)
    records = fold_archive(table, run_dir, ends)
    offsets = [end.offset for end in ends]
    with open_redis(settings) as redis:
        check_keeps_all(redis)
        write_reported(redis, labels, segment)
        all_slots = len(chosen_slots) == settings.slots
        patterns = ["{s*}:*"] if all_slots else [f"{{s{slot}}}:*" for slot in chosen_slots]
        keys = replace_state(redis, settings, segment, table, patterns, chosen_slots, tuple(offsets))
    holes = [f"{end.topic} partition {end.partition} after {end.offset}" for end in ends if end.has_hole]
    return RebuildResult(keys, len(chosen_slots), records, offsets, holes)


def _check_log_continues(settings: Settings, run_dir: Path, ends: Sequence[ArchivedEnd]) -> None:
    """Check that the log holds every record after the archive's end, and reaches at least to that end."""
    ranges = log_ranges(settings.kafka_bootstrap, [TopicPartition(e.topic, e.partition) for e in ends])
    for end, (log_begin, log_end) in zip(ends, ranges.values(), strict=True):
        stops = "has a hole after" if end.has_hole else "ends at"
        archive_end = (
            f"{run_dir}: the archive of {end.topic} partition {end.partition} {stops} offset {end.offset}"
        )
        if end.last >= log_end:
            raise FraudsimError(
                f"{archive_end}, the log before {log_end}: it has lost records, so start a new log "
                "and a new run"
            )
        if end.offset + 1 < log_begin:
            raise FraudsimError(
                f"{archive_end}, the log starts at {log_begin}: what is between is lost, so start a new "
                "log and a new run"
            )
