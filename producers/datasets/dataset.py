"""A dataset in memory: ordered by time, labelled like the world, split into history and live stream.

Rows of equal time keep the file's order. Labels have a fixed seed, so the same content always gives the same
labels.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from heapq import merge
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Flags, Int32s, Ints
from fraudsim.errors import FraudsimError
from producers.datasets.id_texts import rounded_ids
from producers.datasets.layout import Batch, Layout
from producers.history.fingerprint import fingerprint
from producers.history.manifest import HistoryManifest, HistoryOrigin
from producers.history.tables import TRANSACTIONS, TRUTH, Tables, labels_table, sort_labels
from producers.history.writer import write_tables
from producers.labels.delays import LabelColumns, LabelDelays, label_transactions
from producers.population.columns import DAY_MS
from producers.rng import generator
from producers.sources.source import Item
from producers.sources.world_source import label_items, transaction_items

LABEL_SEED: Final = 2018


@dataclass(frozen=True, eq=False)
class Dataset:
    """A file that has been read and checked."""

    layout: Layout
    path: Path
    delays: LabelDelays
    tables: Tables
    """All rows in order of time, and every label that they will ever get."""
    dropped: dict[str, int]
    """Count of valid rows that no event can represent, by reason."""
    doubts: dict[str, int]
    """Count of distinct ids that may have lost digits before the file was written, by reason."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, 64 hex digits."""
        return fingerprint(**self.tables._asdict())

    @cached_property
    def ts(self) -> Ints:
        """Event times, ms UTC, in order."""
        return self.tables.transactions["ts"].to_numpy()

    @property
    def end_ms(self) -> int:
        """The midnight after the last transaction."""
        return (int(self.ts[-1]) // DAY_MS + 1) * DAY_MS

    def split_ms(self, history_share: float = 2 / 3) -> int:
        """The midnight before which this share of the file's days lies.

        Raises:
            FraudsimError: the share is not within (0, 1), or the file has only one day.
        """
        if not 0 < history_share < 1:
            raise FraudsimError(f"{self._description}: history_share={history_share} must be between 0 and 1")
        first, last = int(self.ts[0]) // DAY_MS, int(self.ts[-1]) // DAY_MS
        days = last - first + 1
        if days < 2:
            raise FraudsimError(f"{self._description}: one day only; give the split in milliseconds")
        # Two thirds of 21 days are 14, in spite of the rounding of 2/3.
        history_days = int(np.floor(days * history_share + 1e-9))
        return (first + min(max(history_days, 1), days - 1)) * DAY_MS

    def write_history(
        self, directory: Path, split_ms: int | None = None, history_share: float = 2 / 3
    ) -> HistoryManifest:
        """Write the part before the split as a history; by default the first two thirds of the days.

        Raises:
            FraudsimError: the split leaves no history, or the directory cannot be written.
        """
        split = self.split_ms(history_share) if split_ms is None else split_ms
        rows = int(np.searchsorted(self.ts, split))
        if rows == 0:
            raise FraudsimError(f"{self._description}: split_ms={split} leaves no history before it")
        transactions = self.tables.transactions.slice(0, rows)
        labels = self.tables.labels
        return write_tables(
            directory,
            [
                Tables(
                    transactions,
                    labels.filter(pc.less(labels["ts"], split)),
                    self.tables.truth.slice(0, rows),
                )
            ],
            HistoryOrigin(
                source=self.layout.name,
                version=self.layout.version,
                config={
                    "file": self.path.name,
                    "content": self.fingerprint,
                    "split_ms": split,
                    "dropped": self.dropped,
                    "delays": asdict(self.delays),
                },
                seed=LABEL_SEED,
                start_ms=int(self.ts[0]) // DAY_MS * DAY_MS,
                end_ms=split,
                cards=len(np.unique(transactions["card_id"].combine_chunks().indices.to_numpy())),
            ),
        )

    @property
    def _description(self) -> str:
        return f"{self.layout.name} {self.path}"


class DatasetSource:
    """The part of a dataset from `split_ms` on as a live stream; a `Source`.

    Labels of the part before are included if they become known from then on. The last labels are due long
    after the last transaction.
    """

    def __init__(self, dataset: Dataset, split_ms: int) -> None:
        self._dataset = dataset
        self.start_ms = split_ms
        self.name = f"{dataset.layout.name}-{dataset.fingerprint[:16]}-{split_ms}"

    @property
    def dropped(self) -> dict[str, int]:
        """`Dataset.dropped` of the whole file."""
        return self._dataset.dropped

    @property
    def doubts(self) -> dict[str, int]:
        """`Dataset.doubts` of the whole file."""
        return self._dataset.doubts

    @property
    def longest_days(self) -> int:
        """No label becomes known later than this after its transaction."""
        return self._dataset.delays.longest_days

    def seconds(self, speed: float) -> float:
        """Wall seconds at a speed until just after the file's last transaction."""
        return (int(self._dataset.ts[-1]) + 1 - self.start_ms) / speed / 1000

    def items(self) -> Iterator[Item]:
        """Records in order of `due_ms`; at equal times transactions, then truths, then labels."""
        tables = self._dataset.tables
        rows = int(np.searchsorted(self._dataset.ts, self.start_ms))
        due = tables.labels.filter(pc.greater_equal(tables.labels["known_at"], self.start_ms))
        live = Tables(tables.transactions.slice(rows), due, tables.truth.slice(rows))
        return merge(transaction_items(live), label_items(due), key=itemgetter(0))


def load_dataset(layout: Layout, path: Path, delays: LabelDelays | None = None) -> Dataset:
    """Read a file of a given layout into memory.

    Raises:
        FraudsimError: the file cannot be read, a column is missing, or a row is bad; the message names
            the file and the column or the row.
    """
    delays = delays or LabelDelays()
    parts: dict[str, list[pa.Array]] = {name: [] for name in TRANSACTIONS.names}
    fraud_parts, typology_parts, row_parts, dropped = [], [], [], Counter[str]()
    for batch in layout.batches(path):
        for name, chunks in parts.items():
            chunks.extend(batch.transactions[name].chunks)
        fraud_parts.append(batch.is_fraud)
        typology_parts.append(_typology(layout, batch))
        row_parts.append(batch.rows)
        dropped.update(batch.dropped)
    if sum(map(len, row_parts)) == 0:
        drops = f" left, {dropped.total()} were dropped: {', '.join(sorted(dropped))}" if dropped else ""
        raise FraudsimError(f"{layout.name} {path}: there are no rows{drops}")
    if layout.tx_id is not None:
        _refuse_repeated_ids(layout, path, pa.concat_arrays(parts["tx_id"]), np.concatenate(row_parts))
    is_fraud = np.concatenate(fraud_parts)
    typology = _concatenate(typology_parts, TRUTH.field("typology").type)
    ts = pa.concat_arrays(parts["ts"]).to_numpy()
    order = np.argsort(ts, kind="stable") if np.any(np.diff(ts) < 0) else None
    if order is not None:
        is_fraud, typology = is_fraud[order], typology.take(pa.array(order))
    columns, doubts = [], dict[str, int]()
    for field in TRANSACTIONS:  # one column at a time, so that memory holds the file only once
        column = _concatenate(parts.pop(field.name), field.type)
        if field.name in layout.ids:
            doubts |= _doubts(layout, path, field.name, column, np.concatenate(row_parts))
        columns.append(column if order is None else column.take(pa.array(order)))
    transactions = pa.Table.from_arrays(columns, schema=TRANSACTIONS)
    no_campaign = pa.nulls(len(is_fraud), TRUTH.field("campaign_id").type)
    truth = pa.Table.from_arrays([columns[0], pa.array(is_fraud), typology, no_campaign], schema=TRUTH)
    labels = _labels(transactions, is_fraud, delays)
    tables = Tables(transactions, labels, truth)
    return Dataset(layout, path, delays, tables, dict(sorted(dropped.items())), doubts)


def _doubts(layout: Layout, path: Path, field: str, ids: pa.Array, rows: Ints) -> dict[str, int]:
    """Refuses ids that a spreadsheet has rounded; counts those of which that is not certain."""
    suspects = rounded_ids(ids)
    if suspects is None:
        return {}
    column = layout.ids[field]
    if not suspects.certain:
        doubt = f"{column} have only zeros after the fifteenth digit: rounded by a spreadsheet?"
        return {doubt: suspects.rounded}
    first = pc.index(ids.cast(pa.string()), suspects.example).as_py()
    raise FraudsimError(
        f"{layout.name} {path}: {layout.row_word} {rows[first]}: {column}={suspects.example!r} has only "
        f"zeros after the fifteenth digit, as have all {suspects.distinct:,} ids of 16 digits and more: a "
        "spreadsheet rounded them; export the ids as text (if they are right, put a letter before each)"
    )


def _concatenate(chunks: list[pa.Array], kind: pa.DataType) -> pa.Array:
    return pa.chunked_array(chunks, kind).unify_dictionaries().combine_chunks()


def _typology(layout: Layout, batch: Batch) -> pa.Array:
    kind = TRUTH.field("typology").type
    if batch.typology is not None:
        return batch.typology.dictionary_encode().cast(kind)
    codes = pa.array(np.zeros(len(batch.is_fraud), np.int32), mask=~batch.is_fraud)
    return pa.DictionaryArray.from_arrays(codes, pa.array([layout.name])).cast(kind)


def _refuse_repeated_ids(layout: Layout, path: Path, tx_id: pa.StringArray, rows: Ints) -> None:
    encoded = tx_id.dictionary_encode()
    if len(encoded.dictionary) < len(encoded):
        first = np.zeros(len(encoded), np.bool_)
        first[np.unique(encoded.indices.to_numpy(), return_index=True)[1]] = True
        repeated = int(np.flatnonzero(~first)[0])
        raise FraudsimError(
            f"{layout.name} {path}: {layout.row_word} {rows[repeated]}: "
            f"{layout.tx_id}={tx_id[repeated].as_py()!r} occurs before"
        )


def _labels(transactions: pa.Table, is_fraud: Flags, delays: LabelDelays) -> pa.Table:
    """Labels day by day, those of a day as a function of its rows alone."""
    ts = transactions["ts"].to_numpy()
    card = _renumber_by_first_row(transactions["card_id"].combine_chunks().indices.to_numpy())
    days = ts // DAY_MS
    bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(ts)]
    parts = []
    for low, high in pairwise(bounds):
        rng = generator(LABEL_SEED, "labels", int(days[low]))
        day_labels = label_transactions(ts[low:high], card[low:high], is_fraud[low:high], delays, rng)
        parts.append(
            LabelColumns(day_labels.row + low, day_labels.is_fraud, day_labels.source, day_labels.known_at)
        )
    all_labels = LabelColumns(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.is_fraud for part in parts]),
        np.concatenate([part.source for part in parts]),
        np.concatenate([part.known_at for part in parts]),
    )
    return sort_labels(labels_table(transactions, all_labels).combine_chunks())


def _renumber_by_first_row(codes: Int32s) -> Int32s:
    """Codes renumbered in order of their first row, so that they do not depend on how the file was read."""
    distinct, first_row = np.unique(codes, return_index=True)
    number = np.empty(int(distinct[-1]) + 1, np.int32)
    number[distinct[np.argsort(first_row)]] = np.arange(len(distinct), dtype=np.int32)
    return number[codes]
