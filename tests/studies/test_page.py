"""A study's page on a terminal: every value whole, at any width."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from fraudsim.errors import FraudsimError
from producers.typologies import TYPOLOGY_CLASSES
from studies.report import Cell, Grid, Page, bar, make_folder, spaced

TYPOLOGIES = [spaced(scheme.name) for scheme in TYPOLOGY_CLASSES]


def page_of_a_study(rows, columns):
    """A row for each name of `rows`, and a value unlike all others in each cell."""
    values = iter(range(1, 1000))
    grid = Grid(
        ["names", *columns],
        [
            [Cell(name), *(Cell(f"0.{next(values):03} (of {name[:3]})", bar(0.5)) for _ in columns)]
            for name in rows
        ],
    )
    return Page("A title", "What was done, in [brackets].", grid)


def shown(page, width):
    out = io.StringIO()
    page.print_to(Console(file=out, width=width, markup=False, emoji=False))
    return out.getvalue()


LAGS = ["fresh", "5 min", "1 h", "1 d"]
DIALS = [f"{name} at {dial}" for name in ("AP", "AUC") for dial in ("0", "0.5", "1")]


@pytest.mark.parametrize("width", [30, 60, 80, 100, 132, 400])
@pytest.mark.parametrize(("rows", "columns"), [(LAGS, TYPOLOGIES), (TYPOLOGIES, DIALS), (LAGS, ["one"])])
def test_every_value_is_shown_whole(rows, columns, width):
    page = page_of_a_study(rows, columns)
    text = shown(page, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    values = [cell.text.split()[0] for row in page.grid.rows for cell in row[1:]]
    assert sorted(re.findall(r"0\.\d{3}", text)) == sorted(values)
    for name in (*rows, *columns):
        for word in name.split():
            assert word in text
    assert "[brackets]" in text


def test_bars_stay_where_there_is_room_for_them():
    page = page_of_a_study(LAGS, ["one", "two"])
    assert shown(page, 80).count(bar(0.5)) == 8
    assert bar(0.5) not in shown(page, 40)


PROGRAM = """
from rich.console import Console
from studies import treatments
from studies.report import Cell, Grid, Page, bar
rows = [[Cell(lag), *[Cell("0.123", bar(0.5))] * 13] for lag in ("fresh", "5 min", "1 h", "1 d")]
heads = ["features", *(f"typology {n}" for n in range(13))]
Page("Title", "Text.", Grid(heads, rows)).print_to(Console())
"""


@pytest.mark.parametrize("on_terminal", [False, True])
def test_at_80_columns_on_a_terminal_and_without(on_terminal):
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    ran = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, stdout=theirs,
        env={**os.environ, "COLUMNS": "80", "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    output = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # a terminal that everybody has closed
            break
        if not part:
            break
        output += part
    os.close(ours)
    assert ran.wait(30) == 0
    assert output.decode().count("0.123") == 4 * 13
    assert "…" not in output.decode()


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FraudsimError, match=r"file.*name another folder by --out"):
        make_folder(tmp_path / "file")
