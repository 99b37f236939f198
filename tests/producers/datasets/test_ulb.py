"""ULB's creditcard.csv, which has no card: read to be scored, and what is wrong with it named."""

from pathlib import Path

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from producers.datasets import csv_file, ulb
from producers.datasets.registry import read_score_only
from testing.samples.published_files import PUBLISHED, ulb_lines, write_ulb


def put(line: int, column: str, value: str) -> list[str]:
    """All lines, with one value of one (1-based) line replaced."""
    lines = ulb_lines(100)
    cells = lines[line - 1].split(",")
    cells[ulb.COLUMNS.index(column)] = value
    lines[line - 1] = ",".join(cells)
    return lines


def refusal(path: Path) -> str:
    with pytest.raises(FraudsimError) as error:
        read_score_only(path)
    message = str(error.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_every_value_is_read_as_it_stands(tmp_path: Path) -> None:
    lines = ulb_lines()
    lines[1] = ",".join(["0", "-1.3598071336738", *["0.5"] * 27, "149.62", '"1"'])
    lines[2000] = lines[2000].replace(lines[2000].split(",")[0], "1.75e+05", 1)
    rows = read_score_only(write_ulb(tmp_path / "creditcard.csv", lines))
    assert len(rows) == 2000
    assert rows.components.shape == (2000, 28)
    assert rows.components[0, 0] == np.float32(-1.3598071336738)
    assert rows.amount_cents[0] == 14962
    assert rows.is_fraud.sum() == 100
    assert rows.seconds[-1] == 175_000


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ulb(tmp_path / "creditcard.csv")
    whole = read_score_only(path)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 4096)
    again = read_score_only(path)
    assert (again.components == whole.components).all()
    assert (again.seconds == whole.seconds).all()
    cut = write_ulb(tmp_path / "cut.csv", [*ulb_lines()[:1500], "1,2"])
    assert "line 1501: 2 values where the header has 31 (a file that was cut off?)" in refusal(cut)


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("Time", "-1", "is not between 0 and 31622400"),
        ("Time", "0", "is earlier than the row before: files were mixed, or rows shuffled"),
        ("Time", "soon", "is not a number"),
        ("V7", "", "is missing"),
        ("V7", "nan", "is not between -1000000.0 and 1000000.0"),
        ("V28", "1e99", "is not between"),
        ("Amount", "-1.00", "is below 0"),
        ("Amount", "1e12", "is over"),
        ("Amount", "12,50".replace(",", ";"), "is not an amount"),
        ("Class", "2", "is neither 0 nor 1"),
        ("Class", "Class", "is the header again: files were joined with their headers"),
    ],
)
def test_a_bad_value_is_named_with_its_line(tmp_path: Path, column: str, value: str, why: str) -> None:
    path = write_ulb(tmp_path / "creditcard.csv", put(50, column, value))
    assert f"ulb {path}: line 50: {column}='{value}' {why}" in refusal(path)


def test_other_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    lines = ulb_lines(100)
    assert "there are no rows" in refusal(write_ulb(tmp_path / "none.csv", lines[:1]))
    without = [line.replace('"V3"', '"V33"') for line in lines]
    assert "column V3 is missing" in refusal(write_ulb(tmp_path / "named.csv", without))
    other = PUBLISHED[0].write(tmp_path)
    assert "has the columns of sparkov: `fraudsim world replay` takes it" in refusal(other)
    (tmp_path / "packed.zip").write_bytes(b"PK\x03\x04")
    assert "is packed; unpack it" in refusal(tmp_path / "packed.zip")
    assert "No such file" in refusal(tmp_path / "absent.csv")


def test_no_more_rows_than_memory_is_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ulb, "MAX_ROWS", 1999)
    assert "has more than 1,999 rows; split it" in refusal(write_ulb(tmp_path / "creditcard.csv"))
