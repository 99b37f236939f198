"""A live run as the proofs read it: its events, its first decisions, and what decided."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import read_log
from fraudsim.arrays import Flags, Floats
from fraudsim.errors import FraudsimError
from fraudsim.log.events import LogPrefix, Transaction
from fraudsim.log.topics import CONTROL
from fraudsim.settings import Settings
from stream_features.catalogue.features import HASH
from stream_features.offline.archived_log import first_decisions
from stream_features.offline.history_tables import read_history_tables
from stream_features.parity.log_events import HistoryTables, LogEvents
from stream_features.store.prime import StateTable, state_of_history
from stream_features.vector import SIZE

_decode_prefix: Final = msgspec.json.Decoder(LogPrefix).decode
LIMITS: Final = frozenset({"reviews_per_day", "declined_share_of_day", "limits_away"})
"""Reasons of a decision that a daily limit held back."""


def refuse_controls(run_dir: Path, *kinds: str) -> None:
    """Raises FraudsimError where the run was changed, by controls of these kinds, while it ran."""
    changes = sorted({*read_log(run_dir, CONTROL, ["kind"])["kind"].to_pylist()} & {*kinds})
    if changes:
        raise FraudsimError(
            f"--run {run_dir} was changed by {', '.join(changes)} as it ran: the proof needs a run without"
        )


@dataclass(frozen=True, slots=True)
class LiveDecision:
    """One decision of the run, with its transaction and its vector."""

    tx: Transaction
    prefix: LogPrefix
    row: dict[str, Any]
    vector: Floats

    @property
    def lag_ms(self) -> int:
        """How far the vector was made stale on purpose."""
        return int(self.row.get("features_lag_ms") or 0)

    @property
    def limited(self) -> bool:
        """Whether a daily limit had a part in its action."""
        return not LIMITS.isdisjoint(self.row["held_back"] or ())


class ArchivedRun:
    """A run's folder, read.

    Raises:
        FraudsimError: it is no run folder, or its decisions are of another catalogue.
    """

    def __init__(self, run_dir: Path, settings: Settings) -> None:
        self.run_dir, self.settings = run_dir, settings
        self.log = LogEvents(run_dir, settings.partitions)
        table = first_decisions(run_dir).sort_by(
            [("stamp_decided", "ascending"), ("source_offset", "ascending")]
        )
        others = pc.unique(table["feature_hash"]).to_pylist()
        if any(name != HASH for name in others):
            raise FraudsimError(f"--run {run_dir}: its catalogue is {others[0]}, this program's {HASH}")
        self._table = table

    @cached_property
    def history(self) -> HistoryTables:
        return HistoryTables(*read_history_tables(self.run_dir / "history"))

    @cached_property
    def primed(self) -> StateTable:
        """The state with which the run began."""
        first = self.log.clock.first
        return state_of_history(*self.history, first.event_epoch_ms, first.horizon_ms)

    @cached_property
    def decisions(self) -> list[LiveDecision]:
        """The decisions whose vectors can be recomputed, in the order they were made."""
        vectors = _matrix(self._table["features"])
        comparable = []
        rows = self._table.drop_columns(["features"]).to_pylist()
        for row, vector in zip(rows, vectors, strict=True):
            tx = self.log.transactions.get((row["source_partition"], row["source_offset"]))
            prefix = _decode_prefix(row["prefix"])
            lost = any(tx_id not in self.log.position_of_id for tx_id in prefix.pending)
            if tx is not None and not (row["degraded"] or row["uncertain"] or row["stale"] or lost):
                comparable.append(LiveDecision(tx, prefix, row, vector))
        return comparable

    @property
    def left_out(self) -> int:
        """Decisions without state, or marked stale or uncertain when they were made."""
        return int(self._table.num_rows) - len(self.decisions)


def _matrix(lists: pa.ChunkedArray) -> Floats:
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False) if len(lists) else np.empty(0)
    return values.astype(np.float32).reshape(len(lists), SIZE)


def rows_differ(a: Floats, b: Floats) -> Flags:
    """Whether rows of float32 values differ in any bit, null beside null apart; shape (n,)."""
    same = (a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))
    return ~same.all(axis=1)
