"""The report of a study: a JSON file for programs, a Markdown page for people, and the page on a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, NamedTuple

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole

BAR_WIDTH: Final = 8
GAP: Final = 2
"""Columns between two cells on a terminal."""


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A bar of Unicode blocks to an eighth of a character; a share of 1 is `width` long."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    return "█" * (eighths // 8) + ("▏▎▍▌▋▊▉"[eighths % 8 - 1] if eighths % 8 else "")


def spaced(name: str) -> str:
    """A name with spaces for its underscores."""
    return name.replace("_", " ")


class Cell(NamedTuple):
    """A value of a table."""

    text: str
    bar: str | None = None
    """A bar of its size, which may be left out."""

    def __str__(self) -> str:
        return self.text if self.bar is None else f"{self.text} {self.bar}"


@dataclass(frozen=True)
class Grid:
    """A table; the first cell of a row names it."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def without_bars(self) -> "Grid":
        return Grid(self.heads, [[Cell(cell.text) for cell in row] for row in self.rows])

    def turned(self) -> "Grid":
        """With a row for each column."""
        names, *columns = zip(*self.rows, strict=True)
        heads = [self.heads[0], *(name.text for name in names)]
        return Grid(
            heads, [[Cell(head), *column] for head, column in zip(self.heads[1:], columns, strict=True)]
        )

    def widths(self, *, wrapped: bool = False) -> list[int]:
        """The width of each column; `wrapped`: the least, with cells wrapped between words."""
        texts = [[*self.heads], *([str(cell) for cell in row] for row in self.rows)]
        return [
            max(cell_len(part) for text in column for part in (text.split() or [""] if wrapped else [text]))
            for column in zip(*texts, strict=True)
        ]

    def fits(self, width: int, *, wrapped: bool = False) -> bool:
        """Whether a terminal of `width` columns has room for it."""
        widths = self.widths(wrapped=wrapped)
        return sum(widths) + GAP * len(widths) <= width

    def markdown(self) -> list[str]:
        """Its lines in Markdown."""
        lines = ["| " + " | ".join(self.heads) + " |", "|" + "---|" * len(self.heads)]
        return lines + ["| " + " | ".join(map(str, row)) + " |" for row in self.rows]


@dataclass(frozen=True)
class Page:
    """A study for people: a title, a paragraph, a table."""

    title: str
    text: str
    grid: Grid

    def markdown(self) -> str:
        return "\n".join([f"# {self.title}", "", self.text, "", *self.grid.markdown()]) + "\n"

    def print_to(self, console: Console) -> None:
        """Show it on a terminal; every value whole, at any width."""
        console.print(Text(self.title, style="bold"), Text(self.text), sep="\n\n", end="\n\n")
        plain, turned = self.grid.without_bars(), self.grid.turned()
        whole = (self.grid, plain, turned, turned.without_bars())
        wrapped = (plain, turned.without_bars())
        fitting = [grid for grid in whole if grid.fits(console.width)]
        fitting += [grid for grid in wrapped if grid.fits(console.width, wrapped=True)]
        if fitting:
            console.print(_rich_table(fitting[0]))
            return
        for row in plain.rows:
            console.print(Text(row[0].text, style="bold"))
            for head, cell in zip(plain.heads[1:], row[1:], strict=True):
                console.print(Padding(Text(f"{head}: {cell}"), (0, 0, 0, GAP)))


def _rich_table(grid: Grid) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for head, least in zip(grid.heads, grid.widths(wrapped=True), strict=True):
        table.add_column(Text(head), overflow="fold", min_width=least)
    for row in grid.rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def make_folder(out_dir: Path) -> None:
    """Make the folder of a report, before the work that it takes.

    Raises:
        FraudsimError: it cannot be made, or cannot be written to.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out_dir):
            pass
    except OSError as error:
        raise _folder_error(out_dir, error) from None


def write_report(out_dir: Path, name: str, result: msgspec.Struct, page: Page) -> None:
    """Write `name`.json and `name`.md, each completely or not at all.

    Raises:
        FraudsimError: the folder cannot be written.
    """
    files = {
        f"{name}.json": msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n",
        f"{name}.md": page.markdown(),
    }
    try:
        for file, text in files.items():
            write_whole(out_dir / file, text)
    except OSError as error:
        raise _folder_error(out_dir, error) from None


def _folder_error(out_dir: Path, error: OSError) -> FraudsimError:
    return FraudsimError(
        f"study {error.filename or out_dir}: {error.strerror or error}; name another folder by --out"
    )
