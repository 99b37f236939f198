"""Writes the study's page, figures and tables."""

from pathlib import Path

from fraudsim.drawing.themes import DARK_STYLE, PAPER
from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from studies.freshness.page import figures_of, html, tables
from studies.freshness.study import FreshnessResult


def write(out: Path, result: FreshnessResult) -> None:
    """Write `index.html`, and each figure and table as a file of its own.

    Raises:
        FraudsimError: the folder cannot be written.
    """
    figures = figures_of(result)
    files = {f"{name}.svg": _alone(svg) for name, _, svg in figures}
    files |= {f"{name.lower()}.md": "\n".join(grid.markdown()) + "\n" for name, grid in tables(result)}
    files["index.html"] = html(result, [(caption, svg) for _, caption, svg in figures])
    try:
        for name, text in files.items():
            write_whole(out / name, text)
    except OSError as error:
        raise FraudsimError(f"study {error.filename or out}: {error.strerror or error}") from None


def _alone(svg: str) -> str:
    """A figure that stands without the page: its own paper and dark theme."""
    head, _, rest = svg.partition(">")
    return f'{head}><style>{DARK_STYLE}</style><rect width="100%" height="100%" fill="{PAPER}"/>{rest}\n'
