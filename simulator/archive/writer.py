"""Writes a simulated run: the log as a run's archiver does, stretch by stretch."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fraudsim import __version__
from fraudsim.archive.log_files import log_folder, write_file
from fraudsim.log.clock import future_limit_ms, horizon_ms, past_limit_ms
from fraudsim.log.events import Segment
from fraudsim.log.partitioning import slot_of
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS, TRUTH
from fraudsim.settings import Settings
from fraudsim.whole_files import write_whole
from producers.history.reader import History
from simulator.archive.offsets import TopicOffsets, prefix_texts
from simulator.archive.tables import (
    LogPositions,
    ServedBy,
    archived,
    decision_table,
    headers,
    label_table,
    made_transactions,
    slots_of,
    transaction_table,
    truth_table,
    vector_lists,
)
from simulator.line.decided import DecidedStretch
from simulator.line.scoring import Scoring
from simulator.regimes import Regime
from stream_features.catalogue.features import HASH, KEY_FIELD
from stream_features.offline.columns import codes
from stream_features.parity.check import SIMULATION_FILE


class ArchiveWriter:
    """Writes what was decided into the folder of a run."""

    def __init__(
        self, run_dir: Path, regime: Regime, scoring: Scoring | None, served_by: ServedBy, settings: Settings,
        *, vectors: bool,
    ) -> None:  # fmt: skip
        """
        Args:
            vectors: whether decisions have their vectors, log prefixes and reasons.
        """
        self._run_dir, self._regime, self._scoring, self._served_by = run_dir, regime, scoring, served_by
        self._vectors, self._slots, self._settings = vectors, settings.slots, settings
        self._transactions = TopicOffsets(settings.partitions)
        self._labels = TopicOffsets(settings.partitions)
        self._truths = TopicOffsets(settings.partitions)
        self._ordinal = 0
        self._number = 0
        self._source = "fast-forward"

    def start(self, history: History, start_ms: int, seed: int) -> None:
        """Write the clock, and how the run was made; `seed` is that of replies and verdicts."""
        log_id = f"simulated-{history.manifest.fingerprint[:16]}"
        log_folder(self._run_dir).mkdir(parents=True)
        # Wall time is event time, so that a record arrives when it says.
        segment = Segment(
            log_id=log_id, number=0, event_epoch_ms=start_ms, wall_epoch_ms=start_ms, speed=1.0,
            past_ms=past_limit_ms(1.0), future_ms=future_limit_ms(1.0), horizon_ms=horizon_ms(1.0),
            history=str(history.directory), history_fingerprint=history.manifest.fingerprint,
        )  # fmt: skip
        names = [name for name in Segment.__struct_fields__ if name != "schema_version"]
        position = LogPositions(*(np.array([value], np.int64) for value in (0, 0, start_ms)))
        fields: dict[str, Any] = {name: [getattr(segment, name)] for name in names}
        write_file(self._run_dir, CLOCK, 1, archived(CLOCK, position, [log_id], fields))
        reason = self._regime.not_in_a_prefix if self._vectors else "it was written without vectors"
        recorded = ("partitions", "slots", "label_gap_days", "consequences")
        manifest = {
            "fraudsim": __version__,
            "log_id": log_id,
            "history": {
                "path": "history",
                "source": history.manifest.source,
                "fingerprint": history.manifest.fingerprint,
                "end_ms": history.manifest.end_ms,
            },
            "clock": [msgspec.to_builtins(segment)],
            "catalogue": HASH,
            "settings": {name: getattr(self._settings, name) for name in recorded} | {"seed": seed},
        }
        write_whole(self._run_dir / "manifest.json", json.dumps(manifest, indent=2) + "\n")
        content = {"regime": self._regime.name, "not_in_a_prefix": reason}
        write_whole(self._run_dir / SIMULATION_FILE, json.dumps(content, indent=2) + "\n")

    def write(self, decided: DecidedStretch) -> None:
        """Write the records of one stretch."""
        self._number += 1
        rows = np.flatnonzero(decided.present)
        transactions = made_transactions(decided, rows)
        ts = transactions["ts"].to_numpy()
        indices, cards = codes(transactions, "card_id")
        words = [str(cards[index]) for index in indices.tolist()]
        partition, offset = self._transactions.add(words, ts)
        positions = LogPositions(partition, offset, ts)
        ordinals = np.arange(self._ordinal, self._ordinal + len(rows))
        self._ordinal += len(rows)
        self._write_labels(decided)
        table = transaction_table(transactions, positions, headers(self._source, ordinals, len(rows)))
        write_file(self._run_dir, TRANSACTIONS, self._number, table)
        extra: dict[str, Any] = {}
        if self._vectors:
            extra = self._vector_columns(decided, rows, transactions, ts)
        decisions = decision_table(decided, rows, transactions, positions, self._served_by, extra)
        write_file(self._run_dir, DECISIONS, self._number, decisions)
        frauds = rows[decided.stretch.is_fraud[rows]]
        if len(frauds):
            keys = [decided.transaction(row).card_id for row in frauds.tolist()]
            where = self._truths.add(keys, decided.stretch.transactions["ts"].to_numpy()[frauds])
            write_file(self._run_dir, TRUTH, self._number, truth_table(decided, frauds, *where))
        reach = self._regime.longest_staleness_ms
        for topic in (self._transactions, self._labels, self._truths):
            topic.forget(decided.stretch.end_ms - reach)

    def _write_labels(self, decided: DecidedStretch) -> None:
        if decided.labels:
            at_ms = np.maximum.accumulate([label.known_at for label in decided.labels])
            partition, offset = self._labels.add([label.card_id for label in decided.labels], at_ms)
            positions = LogPositions(partition, offset, at_ms)
            header_lists = headers(f"labels-{self._source}", None, len(at_ms))
            write_file(
                self._run_dir, LABELS, self._number, label_table(decided.labels, positions, header_lists)
            )

    def _vector_columns(
        self, decided: DecidedStretch, rows: Any, transactions: Any, ts: Any
    ) -> dict[str, Any]:
        """Vectors, log prefixes and reasons."""
        slot_by = {
            entity: {
                key: -1 if key is None else slot_of(entity, key, self._slots)
                for key in [*codes(transactions, field)[1], None]
            }
            for entity, field in KEY_FIELD.items()
        }
        seen_to = decided.seen_to[rows]
        seen = np.column_stack([self._transactions.last_before(seen_to), self._labels.last_before(seen_to)])
        prefix = prefix_texts(slots_of(transactions, slot_by), seen, self._labels.last_before(ts))
        reasons: list[list[str]] = [[] for _ in range(len(rows))]
        if self._scoring is not None and self._regime.acts == "at once":
            for index in np.flatnonzero(decided.action[rows]).tolist():
                reasons[index] = self._scoring.reasons(decided.vectors[rows[index]])
        return {"features": vector_lists(decided, rows), "prefix": prefix, "reasons": reasons}
