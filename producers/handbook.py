"""The Fraud Detection Handbook's simulated data (Le Borgne et al., 2022), from Parquet.

The layout is known by its header. What it lacks (device, address, category, channel, place) stays
absent. Times are kept to the millisecond; rows of equal time keep the file's order. Labels are made
as for the world, with a seed of their own, so the same file always gives the same labels.
"""

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
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudsim.errors import FraudsimError
from fraudsim.events import MAX_AMOUNT_CENTS, MAX_TIME_MS
from producers.columns import DAY_MS
from producers.fingerprint import fingerprint
from producers.history import Manifest, write_tables
from producers.labels import LabelColumns, LabelDelays, label_transactions
from producers.rng import generator
from producers.source import Item
from producers.tables import LABELS, TRANSACTIONS, TRUTH, Tables, labels_table, sort_labels
from producers.world_source import label_items, transaction_items

COLUMNS: Final = (
    "TRANSACTION_ID",
    "TX_DATETIME",
    "CUSTOMER_ID",
    "TERMINAL_ID",
    "TX_AMOUNT",
    "TX_FRAUD",
    "TX_FRAUD_SCENARIO",
)
"""What is read. TX_TIME_SECONDS and TX_TIME_DAYS follow from TX_DATETIME and may be of any type."""
LABEL_SEED: Final = 2018
HANDBOOK_VERSION: Final = 1
_ID_PATTERN: Final = r"^[!-~]{1,64}$"


@dataclass(frozen=True, eq=False)
class Handbook:
    """A file of the layout, read and checked."""

    path: Path
    tables: Tables
    """All of it, in order of time; every label it will ever get."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, 64 hex digits."""
        return fingerprint(**self.tables._asdict())

    @cached_property
    def ts(self) -> NDArray[np.int64]:
        """Event times, ms UTC, in order."""
        return self.tables.transactions["ts"].to_numpy()

    def split_ms(self, history_share: float = 2 / 3) -> int:
        """The midnight that leaves this share of the file's whole days to history.

        Raises:
            FraudsimError: the share is not within (0, 1), or the file has but one day.
        """
        if not 0 < history_share < 1:
            raise FraudsimError(
                f"handbook {self.path}: history_share={history_share} must be between 0 and 1"
            )
        first, last = int(self.ts[0]) // DAY_MS, int(self.ts[-1]) // DAY_MS
        days = last - first + 1
        if days < 2:
            raise FraudsimError(f"handbook {self.path}: one day only; give the split in milliseconds")
        # Two thirds of 21 days are 14, whatever the last bit of 2/3 says.
        kept = int(np.floor(days * history_share + 1e-9))
        return (first + min(max(kept, 1), days - 1)) * DAY_MS


def is_handbook(path: Path) -> bool:
    """Whether the header of a Parquet file is of this layout, complete or not.

    Raises:
        FraudsimError: the file cannot be read.
    """
    return {"TX_DATETIME", "TX_AMOUNT"} <= set(_open(path).schema_arrow.names)


def read_handbook(path: Path, delays: LabelDelays | None = None) -> Handbook:
    """Read a file of the layout whole.

    Raises:
        FraudsimError: the file cannot be read, a column is missing, or a row is bad; the message
            names the file and the column or the row (counted from 0).
    """
    file = _open(path)
    missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise FraudsimError(f"handbook {path}: column {missing[0]} is missing")
    try:
        raw = file.read(columns=list(COLUMNS)).combine_chunks()
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"handbook {path}: {_line(error)}") from None
    if raw.num_rows == 0:
        raise FraudsimError(f"handbook {path}: there are no rows")
    ts = _times_ms(path, raw["TX_DATETIME"])
    order = np.argsort(ts, kind="stable")
    tx_id = _ids(path, "TRANSACTION_ID", raw)
    _refuse_repeats(path, tx_id)
    fraud = _numbers(path, "TX_FRAUD", raw)
    _refuse(path, "TX_FRAUD", raw, ~np.isin(fraud, [0, 1]), "is neither 0 nor 1")
    is_fraud = fraud[order] == 1
    scenario = _numbers(path, "TX_FRAUD_SCENARIO", raw)[order].astype(np.int64)
    typology = pa.array(
        [f"scenario_{s}" if f else None for s, f in zip(scenario.tolist(), is_fraud.tolist(), strict=True)],
        pa.string(),
    )
    columns = {
        "tx_id": tx_id.take(pa.array(order)),
        "ts": pa.array(ts[order]),
        "card_id": _ids(path, "CUSTOMER_ID", raw).take(pa.array(order)).dictionary_encode(),
        "merchant_id": _ids(path, "TERMINAL_ID", raw).take(pa.array(order)).dictionary_encode(),
        "amount_cents": pa.array(_cents(path, raw)[order]),
    }
    transactions = _table(TRANSACTIONS, columns, raw.num_rows)
    truth = _table(
        TRUTH,
        {"tx_id": columns["tx_id"], "is_fraud": pa.array(is_fraud), "typology": typology.dictionary_encode()},
        raw.num_rows,
    )
    labels = _labels(transactions, is_fraud, delays or LabelDelays())
    return Handbook(path, Tables(transactions, labels, truth))


def handbook_history(
    path: Path,
    directory: Path,
    split_ms: int | None = None,
    history_share: float = 2 / 3,
    delays: LabelDelays | None = None,
) -> Manifest:
    """Write what lies before the split as a history; by default the first two thirds of the days.

    Raises:
        FraudsimError: the file is bad, the split leaves no history, or the directory cannot be written.
    """
    delays = delays or LabelDelays()
    book = read_handbook(path, delays)
    split = book.split_ms(history_share) if split_ms is None else split_ms
    rows = int(np.searchsorted(book.ts, split))
    if rows == 0:
        raise FraudsimError(f"handbook {path}: split_ms={split} leaves no history before it")
    past = book.tables.transactions.slice(0, rows)
    labels = book.tables.labels
    return write_tables(
        directory,
        [
            Tables(
                past,
                labels.filter(pc.less(labels["ts"], split)),
                book.tables.truth.slice(0, rows),
            )
        ],
        source="handbook",
        version=HANDBOOK_VERSION,
        config={"file": path.name, "content": book.fingerprint, "split_ms": split, "delays": asdict(delays)},
        seed=LABEL_SEED,
        start_ms=int(book.ts[0]) // DAY_MS * DAY_MS,
        end_ms=split,
        cards=pc.count_distinct(past["card_id"].cast(pa.string())).as_py(),
    )


class HandbookSource:
    """The part of a file from `split_ms` on as a live stream; a `producers.source.Source`.

    Labels of the part before come too, when they become known; the last ones long after the last
    transaction.
    """

    def __init__(self, path: Path, split_ms: int, delays: LabelDelays | None = None) -> None:
        self._book = read_handbook(path, delays)
        self.start_ms = split_ms
        self.name = f"handbook-{self._book.fingerprint[:16]}-{split_ms}"

    def seconds(self, speed: float) -> float:
        """Wall seconds at a speed to just after the file's last transaction."""
        return (int(self._book.ts[-1]) + 1 - self.start_ms) / speed / 1000

    def items(self) -> Iterator[Item]:
        """Records in order of `due_ms`; at equal times transactions, then truths, then labels."""
        tables = self._book.tables
        rows = int(np.searchsorted(self._book.ts, self.start_ms))
        due = tables.labels.filter(pc.greater_equal(tables.labels["known_at"], self.start_ms))
        live = Tables(tables.transactions.slice(rows), due, tables.truth.slice(rows))
        return merge(transaction_items(live), label_items(due), key=itemgetter(0))


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"handbook {path}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]


def _refuse(
    path: Path,
    column: str,
    raw: pa.Table,
    bad: NDArray[np.bool_],
    why: str,
) -> None:
    """Raise for the first bad row."""
    rows = np.flatnonzero(bad)
    if len(rows):
        row = int(rows[0])
        value = raw[column][row].as_py()
        raise FraudsimError(f"handbook {path}: row {row}: {column}={value!r} {why}")


def _nulls(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.is_null(column, nan_is_null=True))


def _times_ms(path: Path, column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Milliseconds UTC; finer parts are cut off. A time without zone is taken as UTC."""
    raw = pa.table({"TX_DATETIME": column})
    _refuse(path, "TX_DATETIME", raw, _nulls(column), "is missing")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _parse_times(path, column)
    if not pa.types.is_timestamp(column.type):
        raise FraudsimError(f"handbook {path}: column TX_DATETIME is of type {column.type}, not a time")
    per_ms = {"s": 0.001, "ms": 1, "us": 1_000, "ns": 1_000_000}[column.type.unit]
    ticks = column.cast(pa.int64()).to_numpy()
    ts = ticks * 1000 if per_ms < 1 else ticks // int(per_ms)
    _refuse(path, "TX_DATETIME", raw, (ts < 0) | (ts > MAX_TIME_MS), "is not between 1970 and 9999")
    return ts.astype(np.int64)


def _parse_times(path: Path, column: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return column.cast(pa.timestamp("us"))
    except pa.ArrowException:
        pass
    for row, text in enumerate(column.to_pylist()):
        try:
            pa.scalar(text).cast(pa.timestamp("us"))
        except pa.ArrowException:
            raise FraudsimError(f"handbook {path}: row {row}: TX_DATETIME={text!r} is not a time") from None
    raise FraudsimError(f"handbook {path}: column TX_DATETIME cannot be read as times")


def _numbers(path: Path, name: str, raw: pa.Table) -> NDArray[np.float64]:
    """A column of numbers, or of texts that are numbers."""
    column = raw[name]
    _refuse(path, name, raw, _nulls(column), "is missing")
    try:
        return column.cast(pa.float64(), safe=False).to_numpy()
    except pa.ArrowException:
        pass
    for row, value in enumerate(column.to_pylist()):
        try:
            float(value)
        except (TypeError, ValueError):
            raise FraudsimError(f"handbook {path}: row {row}: {name}={value!r} is not a number") from None
    raise FraudsimError(f"handbook {path}: column {name} is of type {column.type}, not numbers")


def _cents(path: Path, raw: pa.Table) -> NDArray[np.int64]:
    amount = _numbers(path, "TX_AMOUNT", raw)
    bad = ~((amount >= 0) & (amount <= MAX_AMOUNT_CENTS / 100))
    _refuse(path, "TX_AMOUNT", raw, bad, f"is not between 0 and {MAX_AMOUNT_CENTS // 100}")
    return np.rint(amount * 100).astype(np.int64)


def _ids(path: Path, name: str, raw: pa.Table) -> pa.Array:
    """A column of ids as texts; whole numbers lose their point."""
    column = raw[name]
    _refuse(path, name, raw, _nulls(column), "is missing")
    try:
        if pa.types.is_floating(column.type):
            column = column.cast(pa.int64())
        texts = column.cast(pa.string()).combine_chunks()
    except pa.ArrowException as error:
        raise FraudsimError(f"handbook {path}: column {name}: {_line(error)}") from None
    fits = np.asarray(pc.match_substring_regex(texts, _ID_PATTERN))
    _refuse(path, name, raw, ~fits, "is not an id of 1 to 64 printable characters")
    return texts.chunk(0) if isinstance(texts, pa.ChunkedArray) else texts


def _refuse_repeats(path: Path, tx_id: pa.Array) -> None:
    encoded = tx_id.dictionary_encode()
    if len(encoded.dictionary) < len(tx_id):
        codes = encoded.indices.to_numpy()
        first = np.zeros(len(codes), np.bool_)
        first[np.unique(codes, return_index=True)[1]] = True
        row = int(np.flatnonzero(~first)[0])
        raise FraudsimError(
            f"handbook {path}: row {row}: TRANSACTION_ID={tx_id[row].as_py()!r} stands before"
        )


def _table(schema: pa.Schema, columns: dict[str, pa.Array], rows: int) -> pa.Table:
    """The columns that are there, the rest null."""
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _labels(transactions: pa.Table, is_fraud: NDArray[np.bool_], delays: LabelDelays) -> pa.Table:
    """Labels day by day, each a function of the day's rows alone."""
    ts = transactions["ts"].to_numpy()
    card = transactions["card_id"].combine_chunks().indices.to_numpy()
    days = ts // DAY_MS
    bounds = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(ts)]
    parts = [LABELS.empty_table()]
    for low, high in pairwise(bounds):
        rng = generator(LABEL_SEED, "labels", int(days[low]))
        of_day = label_transactions(ts[low:high], card[low:high], is_fraud[low:high], delays, rng)
        shifted = LabelColumns(of_day.row + low, of_day.is_fraud, of_day.source, of_day.known_at)
        parts.append(labels_table(transactions, shifted))
    return sort_labels(pa.concat_tables(parts).unify_dictionaries().combine_chunks())
