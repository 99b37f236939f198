"""The decisions and labels of a run's archive as the archiver writes them, each file read once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dashboards.drift.decided_weeks import DecidedRows, watched
from dashboards.drift.line.training_weeks import plain
from fraudsim.archive.layout import LAYOUTS
from fraudsim.archive.log_files import log_files, read_archived
from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import ACTIONS, Label
from fraudsim.log.topics import DECISIONS, LABELS
from producers.labels.outcome import CARD_NOT_PRESENT
from stream_features.catalogue.features import DAY
from stream_features.offline.columns import hashes
from stream_features.vector import SIZE

IDLE_MS: Final = 7 * DAY
"""A partition whose newest decision is older than the newest of all by this holds nothing up."""
_DECISION_COLUMNS: Final = [
    "partition", "offset", "error", "tx_id", "ts", "card_id", "amount_cents", "channel", "score",
    "probability", "action", "model_version", "variant", "source_partition", "source_offset", "features",
    "degraded",
]  # fmt: skip
_LABEL_COLUMNS: Final = [
    "partition", "offset", "error", "tx_id", "card_id", "ts", "amount_cents", "is_fraud", "source",
    "known_at", "merchant_id",
]  # fmt: skip

_EMPTY: Final = pa.schema([LAYOUTS[DECISIONS].schema.field(name) for name in _DECISION_COLUMNS]).empty_table()


@dataclass(frozen=True)
class ArchivedPart:
    """What has been archived since the part before."""

    rows: DecidedRows
    """The champion's decisions, in order of event time."""
    labels: list[Label]
    deciders: dict[str, Ints]
    """By version of the model, the event times of its decisions."""


class ArchivedDecisions:
    """Reads a run's decisions and labels in the order of their files.

    Left out: repeated decisions, those without state, and a challenger's.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._read: set[Path] = set()
        self._last_source: dict[int, int] = {}
        self._newest: dict[int, int] = {}
        """By partition, the event time of its newest decision."""
        self.newest_label_ms = 0
        """The newest time at which a label became known."""

    @property
    def whole_ms(self) -> int:
        """Event time before which no partition has further decisions, but for late payments; 0 at first."""
        if not self._newest:
            return 0
        return max(min(self._newest.values()), max(self._newest.values()) - IDLE_MS)

    def read(self) -> Iterator[ArchivedPart]:
        """What is new, a file of decisions at a time; the labels come with the first.

        Raises:
            FraudsimError: a file cannot be read.
        """
        files = self._new_files(DECISIONS)  # before the labels: those are as new at least
        labels = [label for path in self._new_files(LABELS) for label in self._labels_of(path)]
        for path in files:
            yield self._part_of(_table(path, DECISIONS, _DECISION_COLUMNS), labels)
            labels = []
        if labels:
            yield ArchivedPart(_rows(_EMPTY), labels, {})

    def _new_files(self, topic: str) -> list[Path]:
        files = [path for path in log_files(self._run_dir, topic) if path not in self._read]
        self._read.update(files)
        return files

    def _labels_of(self, path: Path) -> list[Label]:
        table = _table(path, LABELS, _LABEL_COLUMNS).drop_columns(["partition", "offset", "error"])
        labels = [Label(**row) for row in table.to_pylist()]
        self.newest_label_ms = max([self.newest_label_ms, *(label.known_at for label in labels)])
        return labels

    def _part_of(self, table: pa.Table, labels: list[Label]) -> ArchivedPart:
        table = table.filter(pa.array(self._first(table)))
        for partition, newest in _newest_by_partition(table):
            self._newest[partition] = max(newest, self._newest.get(partition, 0))
        lengths = pc.list_value_length(table["features"])
        ours = pc.and_(
            pc.and_(pc.equal(lengths, SIZE), pc.invert(table["degraded"])),
            pc.and_(
                pc.is_valid(table["probability"]), pc.invert(pc.starts_with(table["variant"], "challenger"))
            ),
        )
        table = table.filter(ours).sort_by([("ts", "ascending"), ("tx_id", "ascending")])
        return ArchivedPart(_rows(table), labels, _deciders(table))

    def _first(self, table: pa.Table) -> Flags:
        """Which decisions are the first for their payment; a repeated one does not rise in source order."""
        partitions, offsets = table["source_partition"].to_numpy(), table["source_offset"].to_numpy()
        first = np.zeros(len(offsets), np.bool_)
        for partition in np.unique(partitions).tolist():
            rows = np.flatnonzero(partitions == partition)
            before = self._last_source.get(partition, -1)
            highest = np.maximum.accumulate(np.concatenate([[before], offsets[rows]]))
            first[rows] = offsets[rows] > highest[:-1]
            self._last_source[partition] = int(highest[-1])
        return first


def _table(path: Path, topic: str, columns: Sequence[str]) -> pa.Table:
    try:
        table = read_archived(path, topic, columns)
    except (pa.ArrowException, OSError) as error:
        raise FraudsimError(
            f"{path}: {' '.join(str(error).split())[:200]}: restore it, or remove it and start the "
            "archiver, which reads its records again"
        ) from None
    return table.filter(pc.is_null(table["error"]))


def _newest_by_partition(table: pa.Table) -> Iterator[tuple[int, int]]:
    newest = table.group_by("source_partition").aggregate([("ts", "max")])
    for row in newest.to_pylist():
        yield row["source_partition"], row["ts_max"]


def _deciders(table: pa.Table) -> dict[str, Ints]:
    versions, ts = table["model_version"], table["ts"].to_numpy()
    return {
        version: ts[pc.equal(versions, version).to_numpy()] for version in pc.unique(versions).to_pylist()
    }


def _rows(table: pa.Table) -> DecidedRows:
    values = pc.list_flatten(table["features"]).to_numpy(zero_copy_only=False)
    vectors: Floats = values.astype(np.float32).reshape(table.num_rows, SIZE)
    actions, channels = pa.array(ACTIONS), pa.array(sorted(filter(None, CARD_NOT_PRESENT)))
    return DecidedRows(
        table["ts"].to_numpy(),
        hashes(table, "card_id"),
        plain(table["tx_id"]),
        watched(vectors),
        table["score"].to_numpy().astype(np.float32),
        table["probability"].to_numpy(zero_copy_only=False).astype(np.float64),
        pc.index_in(table["action"], value_set=actions).to_numpy(zero_copy_only=False).astype(np.int64),
        table["amount_cents"].to_numpy(),
        pc.is_in(table["channel"], value_set=channels).to_numpy(zero_copy_only=False).astype(np.bool_),
    )
