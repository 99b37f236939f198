"""The loader of the Fraud Detection Handbook's simulated data, from Parquet.

Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection",
2022; https://github.com/Fraud-Detection-Handbook/simulated-data-raw. Device, address, category, channel and
location are not in the data and stay absent. Times without a zone are taken as UTC and kept to the
millisecond. The data are published as daily pickles, which are not opened: a pickle may run any code (the
error of `producers.datasets.registry` shows how to convert them).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_AMOUNT_CENTS, MAX_TIME_MS
from producers.datasets.id_texts import id_faults
from producers.datasets.layout import Batch, Layout, events_table

COLUMNS: Final = (
    "TRANSACTION_ID",
    "TX_DATETIME",
    "CUSTOMER_ID",
    "TERMINAL_ID",
    "TX_AMOUNT",
    "TX_FRAUD",
    "TX_FRAUD_SCENARIO",
)
"""Without TX_TIME_SECONDS and TX_TIME_DAYS, which follow from TX_DATETIME and may be of any type."""
_LAST_SCENARIO: Final = 1000
_EXACT_BITS: Final = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}
"""Bits of a whole number that a float holds, by type."""


def batches(path: Path) -> Iterator[Batch]:
    """Read the file as one batch of events."""
    file = _open(path)
    for name in COLUMNS:
        count = file.schema_arrow.names.count(name)
        if count != 1:
            reason = "is missing" if count == 0 else "occurs twice"
            raise FraudsimError(f"handbook {path}: column {name} {reason}")
    try:
        raw = file.read(columns=list(COLUMNS)).combine_chunks()
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"handbook {path}: {_first_line(error)}") from None
    raw = _decoded(raw)
    if raw.num_rows == 0:
        raise FraudsimError(f"handbook {path}: there are no rows")
    ts = _times_ms(path, raw["TX_DATETIME"])
    tx_id = _ids(path, "TRANSACTION_ID", raw)
    fraud = _numbers(path, "TX_FRAUD", raw)
    _refuse(path, "TX_FRAUD", raw, ~np.isin(fraud, [0, 1]), "is neither 0 nor 1")
    is_fraud = fraud == 1
    scenario = _numbers(path, "TX_FRAUD_SCENARIO", raw)
    whole = (scenario >= 0) & (scenario <= _LAST_SCENARIO) & (np.floor(scenario) == scenario)
    _refuse(path, "TX_FRAUD_SCENARIO", raw, ~whole, f"is not a whole number from 0 to {_LAST_SCENARIO}")
    typology = pa.array(
        [
            f"scenario_{s:.0f}" if f else None
            for s, f in zip(scenario.tolist(), is_fraud.tolist(), strict=True)
        ],
        pa.string(),
    )
    columns = {
        "tx_id": tx_id,
        "ts": pa.array(ts),
        "card_id": _ids(path, "CUSTOMER_ID", raw).dictionary_encode(),
        "merchant_id": _ids(path, "TERMINAL_ID", raw).dictionary_encode(),
        "amount_cents": pa.array(_cents(path, raw)),
    }
    transactions = events_table(columns, raw.num_rows)
    yield Batch(transactions, is_fraud, typology, np.arange(raw.num_rows), {})


LAYOUT: Final = Layout(
    name="handbook",
    title="Fraud Detection Handbook (Parquet)",
    form="Parquet",
    columns=COLUMNS,
    batches=batches,
    tx_id="TRANSACTION_ID",
    ids={"tx_id": "TRANSACTION_ID", "card_id": "CUSTOMER_ID", "merchant_id": "TERMINAL_ID"},
)


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"handbook {path}: {_first_line(error)}") from None


def _decoded(raw: pa.Table) -> pa.Table:
    """The columns by their values: pandas writes its categories as dictionaries."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in raw.schema
    ]
    return raw.cast(pa.schema(fields))


def _first_line(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).splitlines()[0]


def _refuse(
    path: Path,
    column: str,
    raw: pa.Table,
    bad: Flags,
    reason: str,
) -> None:
    """Raise an error for the first bad row, if there is one."""
    rows = np.flatnonzero(bad)
    if len(rows):
        row = int(rows[0])
        value = raw[column][row].as_py()
        raise FraudsimError(f"handbook {path}: row {row}: {column}={value!r} {reason}")


def _nulls(column: pa.ChunkedArray) -> Flags:
    return np.asarray(pc.is_null(column, nan_is_null=True))


def _times_ms(path: Path, column: pa.ChunkedArray) -> Ints:
    """Milliseconds UTC, truncated. A time without zone is taken as UTC."""
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
    raw = pa.table({"TX_DATETIME": column})
    # A date alone would be midnight: the time of day was lost.
    has_clock = np.asarray(pc.match_substring_regex(column, ":"))
    _refuse(path, "TX_DATETIME", raw, ~has_clock, "is not a time: it has no hours and minutes")
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


def _numbers(path: Path, name: str, raw: pa.Table) -> Doubles:
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


def _cents(path: Path, raw: pa.Table) -> Ints:
    kind = raw.schema.field("TX_AMOUNT").type
    if pa.types.is_boolean(kind):
        raise FraudsimError(f"handbook {path}: column TX_AMOUNT is of type bool, not numbers")
    amount = _numbers(path, "TX_AMOUNT", raw)
    bits = _EXACT_BITS.get(kind, 53)
    # From here on two floats of the type are further apart than a cent.
    coarse = np.isfinite(amount) & (np.abs(amount) >= 2.0 ** (bits - 7)) & (bits < 53)
    _refuse(path, "TX_AMOUNT", raw, coarse, "is a float too short for cents; write floats of 64 bits")
    bad = ~((amount >= 0) & (amount <= MAX_AMOUNT_CENTS / 100))
    _refuse(path, "TX_AMOUNT", raw, bad, f"is not between 0 and {MAX_AMOUNT_CENTS // 100}")
    return np.rint(amount * 100).astype(np.int64)


def _ids(path: Path, name: str, raw: pa.Table) -> pa.Array:
    """A column of ids as texts; a float such as 7.0 becomes 7."""
    column = raw[name]
    _refuse(path, name, raw, _nulls(column), "is missing")
    if pa.types.is_boolean(column.type):
        raise FraudsimError(f"handbook {path}: column {name} is of type bool, not ids")
    if pa.types.is_floating(column.type):
        values = column.cast(pa.float64()).to_numpy()
        _refuse(path, name, raw, np.floor(values) != values, "is not a whole number")
        bits = _EXACT_BITS[column.type]
        reason = f"is a float of 2**{bits} or more, which skips whole numbers; write the ids as text"
        _refuse(path, name, raw, np.abs(values) >= 2**bits, reason)
    try:
        if pa.types.is_floating(column.type):
            column = column.cast(pa.float64()).cast(pa.int64())
        texts = column.cast(pa.string()).combine_chunks()
    except pa.ArrowException as error:
        raise FraudsimError(f"handbook {path}: column {name}: {_first_line(error)}") from None
    texts = texts.chunk(0) if isinstance(texts, pa.ChunkedArray) else texts
    for faults, reason in id_faults(texts):
        _refuse(path, name, raw, faults, reason)
    return texts
