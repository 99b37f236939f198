"""Ids that lost digits, or that are none, are refused by row, or counted where that is not certain."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from producers.datasets.id_texts import id_faults, rounded_ids
from producers.datasets.registry import LAYOUTS, read_dataset
from producers.world_cli import app
from testing.samples.published_files import ROWS, handbook, published, write_handbook

CSV_IDS = [
    (layout.name, column) for layout in LAYOUTS if layout.form == "CSV" for column in layout.ids.values()
]


def with_column(folder: Path, layout: str, column: str, value: Callable[[int], str]) -> Path:
    """A sample with one column replaced: `value` of the row's number."""
    file = published(layout)
    index = file.header.split(",").index(column)
    lines = [file.header]
    for number, line in enumerate(file.lines()[1:]):
        cells = line.split(",")
        cells[index] = value(number)
        lines.append(",".join(cells))
    return file.write(folder, lines)


@pytest.mark.parametrize(("layout", "column"), CSV_IDS)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2.29116E+15", "is a rounded number whose digits are lost"),
        ("2.703186189652095e+18", "is a rounded number whose digits are lost"),
        ("9007199254740993.0", "is a float of 2**53 or more"),
        ("########", "is a spreadsheet's error"),
        ("#N/A", "is a spreadsheet's error"),
        ("NaN", "is a missing value"),
        ("null", "is a missing value"),
        ("", "is missing"),
    ],
)
def test_an_id_that_is_none_is_named_by_line_and_column(
    tmp_path: Path, layout: str, column: str, text: str, reason: str
) -> None:
    file = published(layout)
    path = file.write(tmp_path, file.replaced(18, column, text))
    with pytest.raises(FraudsimError) as error:
        read_dataset(path)
    assert str(error.value).startswith(f"{layout} {path}: line 18: {column}={text!r} {reason}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("layout", "column"), CSV_IDS)
def test_ids_of_which_a_spreadsheet_left_fifteen_digits_are_refused(
    tmp_path: Path, layout: str, column: str
) -> None:
    def rounded(number: int) -> str:
        return f"{270318618965209 + (number if column in ('trans_num', 'TransactionID') else number % 7)}0"

    path = with_column(tmp_path, layout, column, rounded)
    with pytest.raises(
        FraudsimError, match=r"has only zeros after the fifteenth digit, as have all"
    ) as error:
        read_dataset(path)
    assert str(error.value).startswith(f"{layout} {path}: line 2: {column}='2703186189652090")
    assert "export the ids as text" in str(error.value)


def test_a_few_rounded_ids_are_counted_and_said(tmp_path: Path) -> None:
    path = with_column(tmp_path, "sparkov", "cc_num", lambda number: f"27031861896520{number % 2}0")
    dataset = read_dataset(path)
    assert list(dataset.doubts.values()) == [2]
    done = CliRunner().invoke(app, ["replay", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "warning: 2 ids of cc_num have only zeros after the fifteenth digit" in done.output.replace(
        "\n", ""
    )


def test_cards_of_which_some_end_in_zero_by_chance_are_read_without_a_word(tmp_path: Path) -> None:
    path = with_column(tmp_path, "sparkov", "cc_num", lambda number: f"27031861896520{number:02d}")
    dataset = read_dataset(path)
    assert dataset.doubts == {}
    assert dataset.tables.transactions.num_rows == ROWS


def test_a_part_of_a_file_that_was_saved_by_a_spreadsheet_is_counted() -> None:
    exact = [f"27031861896{number:05d}" for number in range(1, 40)]
    rounded = [f"4{number:014d}0" for number in range(30)]
    suspects = rounded_ids(pa.array(exact + rounded))
    assert suspects is not None
    assert not suspects.certain
    assert (suspects.rounded, suspects.distinct) == (30 + 3, 39 + 30)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("0123456789", min_size=16, max_size=19), min_size=1, max_size=30))
def test_what_is_called_rounded_is_so_for_each_id(ids: list[str]) -> None:
    suspects = rounded_ids(pa.array(ids).dictionary_encode())
    ends = {text: set(text[15:]) == {"0"} for text in ids}
    if suspects is not None and suspects.certain:
        assert all(ends.values())
    if all(ends.values()):
        assert suspects is not None
        assert suspects.rounded == suspects.distinct == len(ends)


@settings(max_examples=200, deadline=None)
@given(st.integers(10**15, 2**63 - 1))
def test_every_number_that_a_float_or_a_spreadsheet_wrote_is_a_fault(number: int) -> None:
    excel = f"{number:.5E}"
    python = repr(float(number))
    texts = pa.array([excel, python, str(number)])
    faulty = np.any([faults for faults, _ in id_faults(texts)], axis=0)
    assert faulty.tolist() == [True, number >= 2**53, False]


@pytest.mark.parametrize(
    ("column", "change", "reason"),
    [
        ("CUSTOMER_ID", lambda i: float(2**53 + 2 * (i % 7)), r"is a float of 2\*\*53 or more"),
        ("TERMINAL_ID", lambda i: float(2**53) if i == 5 else float(i), r"row 5: .*is a float of 2\*\*53"),
        ("TRANSACTION_ID", lambda i: float(i) + 0.5, "row 0: TRANSACTION_ID=0.5 is not a whole number"),
        ("CUSTOMER_ID", lambda i: float("inf"), r"row 0: CUSTOMER_ID=inf is a float of 2\*\*53 or more"),
        ("CUSTOMER_ID", lambda i: "2.29116E+15", "row 0: CUSTOMER_ID='2.29116E[+]15' is a rounded number"),
        ("CUSTOMER_ID", lambda i: "nan", "row 0: CUSTOMER_ID='nan' is a missing value"),
        (
            "CUSTOMER_ID",
            lambda i: (270318618965209 + i % 7) * 10,
            "row 0: CUSTOMER_ID='2703186189652090' has only zeros",
        ),
    ],
)
def test_ids_in_parquet_that_lost_digits_are_named_by_row(
    tmp_path: Path, column: str, change: Callable[[int], object], reason: str
) -> None:
    values = handbook() | {column: [change(i) for i in range(ROWS)]}
    with pytest.raises(FraudsimError, match=reason) as error:
        read_dataset(write_handbook(tmp_path / "book.parquet", values))
    assert f" {column}=" in str(error.value)


def test_floats_of_thirty_two_bits_lose_digits_sooner(tmp_path: Path) -> None:
    cards = pa.array([float(2**24 + 2 * (i % 7)) for i in range(ROWS)], pa.float32())
    with pytest.raises(FraudsimError, match=r"row 0: CUSTOMER_ID=16777216.0 is a float of 2\*\*24 or more"):
        read_dataset(write_handbook(tmp_path / "book.parquet", handbook() | {"CUSTOMER_ID": cards}))


def test_smaller_floats_are_ids_as_before(tmp_path: Path) -> None:
    cards = [float(2**53 - 1 - i % 7) for i in range(ROWS)]
    path = write_handbook(tmp_path / "book.parquet", handbook() | {"CUSTOMER_ID": cards})
    card_ids = read_dataset(path).tables.transactions["card_id"].to_pylist()
    assert set(card_ids) == {str(2**53 - 1 - i) for i in range(7)}
