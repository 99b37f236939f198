"""Restoring the feature state from history and archived log, where Redis or Kafka no longer has it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import open_clock
from fraudsim.log.events import Label, Transaction
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from stream_features.catalogue.features import KEY_FIELD, LABELLED
from stream_features.encode import ROW_OF, label_row
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, NO_ROWS
from stream_features.offline.archived_log import (
    accepted_labels,
    accepted_transactions,
    archived_clock,
    archived_ends,
)
from stream_features.offline.history_tables import history_fingerprint, read_history_tables
from stream_features.store.prime import Table, check_history, replace_state, state_of_history
from stream_features.vector import keys_of

FOLD_AT_ONCE: Final = 50_000
"""Records gathered before they are folded: more would only take memory."""


@dataclass(frozen=True)
class Rebuilt:
    """What was written."""

    keys: int
    slots: int
    records: int
    """Valid transactions and labels of the archive."""
    ends: list[int]
    """Last offset folded, by source; the worker goes on after it."""


@dataclass(slots=True)
class _Added:
    """What is to be folded into one key."""

    rows: list[tuple[int, ...]] = field(default_factory=list)
    labels: list[tuple[int, ...]] = field(default_factory=list)


class _Gathered:
    """States by key, and what is to be folded into them."""

    def __init__(self, table: Table, horizon_ms: int) -> None:
        self.table = table
        self.records = 0
        self._horizon_ms = horizon_ms
        self._added: dict[tuple[str, str], _Added] = {}

    def transaction(self, tx: Transaction) -> None:
        for key in keys_of(tx):
            self._added.setdefault(key, _Added()).rows.append(ROW_OF[key[0]](tx))
        self._counted()

    def label(self, label: Label) -> None:
        for entity in LABELLED:
            key = getattr(label, KEY_FIELD[entity])
            if key is not None:
                self._added.setdefault((entity, key), _Added()).labels.append(label_row(label))
        self._counted()

    def _counted(self) -> None:
        self.records += 1
        if self.records % FOLD_AT_ONCE == 0:
            self.fold()

    def fold(self) -> None:
        for key, added in self._added.items():
            before = self.table.get(key)
            state = before if before is not None else states.empty(key[0])
            rows = np.array(sorted(added.rows), np.int64) if added.rows else NO_ROWS[key[0]]
            labels = np.array(added.labels, np.int64) if added.labels else NO_LABELS
            self.table[key] = states.fold(key[0], state, rows, labels, self._horizon_ms)
        self._added.clear()


def fold_archive(table: Table, run_dir: Path) -> int:
    """Fold a whole archived log into the states of `table`, in place. Returns how many records counted."""
    clock = archived_clock(run_dir)
    gathered = _Gathered(table, clock.horizon_ms)
    for _, tx in accepted_transactions(run_dir, clock):
        gathered.transaction(tx)
    for _, label in accepted_labels(run_dir, clock):
        gathered.label(label)
    gathered.fold()
    return gathered.records


def rebuild(
    settings: Settings, run_dir: Path, history: Path | None = None, slots: Iterable[int] = ()
) -> Rebuilt:
    """Write the state that history and archive come to, and where the worker goes on.

    Args:
        history: its folder; by default the run's own, where the log follows one.
        slots: only these; by default all.

    Raises:
        FraudsimError: archive, history and log do not belong together; the log no longer holds what
            follows the archive; or there is no such slot.
    """
    segment = open_clock(settings).clock.first
    archived = archived_clock(run_dir).first
    if archived.log_id != segment.log_id:
        raise FraudsimError(f"{run_dir} is the archive of log {archived.log_id}, Kafka has {segment.log_id}")
    chosen = sorted(set(slots)) or list(range(settings.slots))
    if not 0 <= chosen[0] <= chosen[-1] < settings.slots:
        raise FraudsimError(f"--slot {chosen[-1]}: FRAUDSIM_SLOTS is {settings.slots}, the last is one less")
    ends = archived_ends(run_dir, settings.partitions)
    _check_goes_on(settings, run_dir, ends)
    table: Table = {}
    fingerprint = ""
    if segment.history_fingerprint or history is not None:
        folder = history or run_dir / "history"
        fingerprint = history_fingerprint(folder)
        check_history(fingerprint, segment)
        table = state_of_history(*read_history_tables(folder), segment.event_epoch_ms, segment.horizon_ms)
    records = fold_archive(table, run_dir)
    with Redis.from_url(settings.redis_url) as redis:
        whole = len(chosen) == settings.slots
        patterns = ["{s*}:*"] if whole else [f"{{s{slot}}}:*" for slot in chosen]
        keys = replace_state(redis, settings, segment, table, patterns, chosen, tuple(ends))
    return Rebuilt(keys, len(chosen), records, ends)


def _check_goes_on(settings: Settings, run_dir: Path, ends: Sequence[int]) -> None:
    """That the log holds everything after the archive's end, and the archive nothing after the log's."""
    tps = [TopicPartition(t, p) for t in (TRANSACTIONS, LABELS) for p in range(settings.partitions)]
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_bootstrap.split(","), enable_auto_commit=False)
    try:
        firsts, afters = consumer.beginning_offsets(tps), consumer.end_offsets(tps)
    finally:
        consumer.close()
    for tp, end in zip(tps, ends, strict=True):
        where = f"{run_dir}: the archive of {tp.topic} partition {tp.partition} ends at offset {end}"
        if end >= afters[tp]:
            raise FraudsimError(
                f"{where}, the log before {afters[tp]}: it has lost records, so start a new log and a new run"
            )
        if end + 1 < firsts[tp]:
            raise FraudsimError(
                f"{where}, the log starts at {firsts[tp]}: what is between is lost, so start a new log and a "
                "new run"
            )
