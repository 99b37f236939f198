"""Files as others save them: every loader reads them rightly, or refuses them in one line that says where."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudsim.errors import FraudsimError
from producers.datasets.registry import read_dataset
from testing.samples.published_files import PUBLISHED, ROWS, Published, handbook, published, write_handbook

CSV = pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.layout)
FREE_TEXT = {
    "sparkov": "job",
    "tabformer": "Merchant City",
    "paysim": "newbalanceDest",
    "cardsim": "run_id",
    "ieee-cis": "P_emaildomain",
}
"""A column that the loader does not read."""


def refusal(path: Path) -> str:
    with pytest.raises(FraudsimError) as error:
        read_dataset(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@CSV
@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-16", "is UTF-16 or UTF-32; save it as CSV in UTF-8"),
        ("utf-32", "is UTF-16 or UTF-32; save it as CSV in UTF-8"),
        ("utf-16-le", "is neither CSV nor Parquet"),
    ],
)
def test_wide_encodings_are_named(tmp_path: Path, file: Published, encoding: str, message: str) -> None:
    path = file.write(tmp_path)
    path.write_bytes(path.read_text().encode(encoding))
    assert message in refusal(path)


@CSV
@pytest.mark.parametrize("value", ['"a\nb"', "caf\u00e9", "a\0b", "x" * 3_000_000, "", "nan"])
def test_what_stands_in_columns_that_are_not_read_changes_nothing(
    tmp_path: Path, file: Published, value: str
) -> None:
    plain = read_dataset(file.write(tmp_path)).fingerprint
    path = file.write(tmp_path, file.replaced(5, FREE_TEXT[file.layout], value))
    path.write_bytes(path.read_text().encode("latin-1"))
    assert read_dataset(path).fingerprint == plain


@CSV
@pytest.mark.parametrize(
    "amount", ["1,234.50", "12,50", "(5.00)", "+5", " 5", "5-", "NaN", "inf", "1e99", "9" * 400, "1\u202f234"]
)
def test_amounts_in_other_forms_are_refused(tmp_path: Path, file: Published, amount: str) -> None:
    written = f'"{file.money(amount)}"'
    path = file.write(tmp_path, file.replaced(5, file.amount, written))
    assert f"line 5: {file.amount}={file.money(amount)!r} is not an amount" in refusal(path)


@pytest.mark.parametrize(
    ("layout", "column"), [("sparkov", "trans_date_trans_time"), ("cardsim", "date_time")]
)
@pytest.mark.parametrize(
    "time",
    [
        "31/01/2019 10:00", "1/1/2019 0:00", "2019-01-01", "2019-1-1 0:00", "1546300800", "43466.5",
        "2019-01-01T00:00:18Z", "2019-01-01 00:00:18+02:00", "2019-01-01 24:00:00", "NaT",
    ],
)  # fmt: skip
def test_times_in_other_forms_are_refused(tmp_path: Path, layout: str, column: str, time: str) -> None:
    file = published(layout)
    path = file.write(tmp_path, file.replaced(5, column, time))
    assert f"line 5: {column}={time!r} is not a time like 2019-01-31 23:59:59" in refusal(path)


@CSV
def test_a_row_too_long_that_is_not_utf_8_is_named_without_a_traceback(
    tmp_path: Path, file: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file.write(tmp_path, file.replaced(5, file.amount, file.money("1,5\u00e9")))
    path.write_bytes(path.read_text().encode("latin-1"))
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    message = refusal(path)
    assert not unraisable
    columns = file.header.count(",") + 1
    assert f"line 5: {columns + 1} values where the header has {columns}" in message


@CSV
def test_a_header_that_is_too_long_is_refused(tmp_path: Path, file: Published) -> None:
    path = file.write(tmp_path, [f"{file.header},{'h' * 70_000}", *file.lines()[1:]])
    assert "line 1: the header has more than 65536 bytes" in refusal(path)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("TX_AMOUNT", [True] * ROWS, "column TX_AMOUNT is of type bool, not numbers"),
        (
            "TX_AMOUNT",
            pa.array([131072.01] * ROWS, pa.float32()),
            "row 0: TX_AMOUNT=131072.015625 is a",
        ),
        ("TX_AMOUNT", ["1,5"] * ROWS, "row 0: TX_AMOUNT='1,5' is not a number"),
        ("TX_AMOUNT", [float("nan")] * ROWS, "row 0: TX_AMOUNT=nan is missing"),
        ("CUSTOMER_ID", [True] * ROWS, "column CUSTOMER_ID is of type bool, not ids"),
        ("CUSTOMER_ID", [["a"]] * ROWS, "column CUSTOMER_ID: Unsupported cast"),
        (
            "TX_DATETIME",
            ["2018-04-01"] * ROWS,
            "row 0: TX_DATETIME='2018-04-01' is not a time: it",
        ),
        ("TX_DATETIME", ["01/04/2018 00:00"] * ROWS, "row 0: TX_DATETIME='01/04/2018 00:00' is not a time"),
        (
            "TX_FRAUD_SCENARIO",
            [1.5] * ROWS,
            "row 0: TX_FRAUD_SCENARIO=1.5 is not a whole number",
        ),
        ("TX_FRAUD_SCENARIO", [float("inf")] * ROWS, "row 0: TX_FRAUD_SCENARIO=inf is not a whole number"),
    ],
)
def test_values_in_parquet_that_would_be_read_wrongly_are_refused(
    tmp_path: Path, column: str, values: Any, message: str
) -> None:
    path = write_handbook(tmp_path / "book.parquet", handbook() | {column: values})
    assert message in refusal(path)


def test_a_column_that_occurs_twice_in_parquet_is_named(tmp_path: Path) -> None:
    table = pa.table(handbook())
    doubled = pa.Table.from_arrays(
        [*table.columns, table["TX_AMOUNT"]], names=[*table.column_names, "TX_AMOUNT"]
    )
    pq.write_table(doubled, tmp_path / "book.parquet")
    assert "column TX_AMOUNT occurs twice" in refusal(tmp_path / "book.parquet")


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:900],
        lambda b: b[:200] + b"\xff" * 200 + b[400:],
        lambda b: b[:-300] + bytes(250) + b[-50:],
    ],
)
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = write_handbook(tmp_path / "book.parquet")
    path.write_bytes(damage(path.read_bytes()))
    refusal(path)
