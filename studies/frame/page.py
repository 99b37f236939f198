"""A study for people: one HTML page that stands alone, Markdown, and a table for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from fraudsim.drawing.themes import DARK, DARK_STYLE, GRID, INK, PAPER, QUIET
from fraudsim.whole_files import write_whole
from studies.report import Grid, Page

_VARIABLES: Final = {"paper": PAPER, "ink": INK, "quiet": QUIET, "grid": GRID}
_STYLE: Final = (
    ":root { color-scheme: light dark; "
    + " ".join(f"--{name}: {colour};" for name, colour in _VARIABLES.items())
    + " } @media (prefers-color-scheme: dark) { :root { "
    + " ".join(f"--{name}: {DARK[colour]};" for name, colour in _VARIABLES.items())
    + " } }\n"
    + DARK_STYLE
    + """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 900px; padding: 28px 20px 60px; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 27px; line-height: 1.25; } h2 { font-size: 20px; margin: 36px 0 6px; }
p, li { max-width: 70ch; } .answer { font-size: 18px; }
.quiet, figcaption { color: var(--quiet); font-size: 14px; }
figure { margin: 14px 0; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 560px; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; min-width: 560px; width: 100%; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--grid);
  vertical-align: top; }
td { font-variant-numeric: tabular-nums; } pre { overflow-x: auto; }
"""
)


@dataclass(frozen=True)
class StudyFigure:
    """A drawing."""

    name: str
    """Of its file."""
    caption: str
    svg: str


@dataclass(frozen=True)
class StudyTable:
    """A table that fits a terminal of 80 columns."""

    name: str
    note: str
    grid: Grid


@dataclass(frozen=True)
class StudyReport:
    """Everything that a study says. Texts are plain sentences, made of figures."""

    question: str
    answer: Sequence[str]
    set_up: str
    figures: Sequence[StudyFigure]
    tables: Sequence[StudyTable]
    controls: Sequence[str]
    """What the study finds where the answer is known."""
    limits: Sequence[str]
    """What it cannot show."""
    command: str
    source: str
    """Programs and code, for the foot."""
    surprises: Sequence[str] = ()


def terminal_pages(report: StudyReport) -> list[Page]:
    """The study on a terminal: the answer with the first table, then the others."""
    pages = []
    for number, table in enumerate(report.tables):
        title, text = (report.question, " ".join(report.answer)) if not number else (table.name, table.note)
        pages.append(Page(title, text, table.grid))
    return pages


def write_report_files(out: Path, report: StudyReport) -> None:
    """Write `index.html`, `README.md`, and each figure and table as a file of its own.

    Raises:
        OSError: the folder cannot be written.
    """
    files = {f"{figure.name}.svg": _alone(figure.svg) for figure in report.figures}
    files["index.html"] = html(report)
    files["README.md"] = markdown(report)
    for name, text in files.items():
        write_whole(out / name, text)


def markdown(report: StudyReport) -> str:
    """The page for readers of the repository."""
    lines = [f"# {report.question}", ""]
    lines += [line for text in report.answer for line in (text, "")]
    lines += ["## Set-up", "", report.set_up, ""]
    for figure in report.figures:
        lines += [f"![{figure.caption}]({figure.name}.svg)", "", figure.caption, ""]
    for table in report.tables:
        lines += [f"## {table.name}", "", table.note, "", *table.grid.markdown(), ""]
    for head, texts in _lists(report):
        lines += [f"## {head}", "", *(f"- {text}" for text in texts), ""]
    lines += ["## Repeat it", "", "```sh", report.command, "```", "", report.source]
    return "\n".join(lines) + "\n"


def html(report: StudyReport) -> str:
    """The page; it needs no other file."""
    body = [f"<h1>{escape(report.question)}</h1>"]
    body += [f'<p class="answer">{escape(text)}</p>' for text in report.answer]
    body += [f"<h2>Set-up</h2><p>{escape(report.set_up)}</p>"]
    body += ["<h2>Figures</h2>"] if report.figures else []
    body += [
        f"<figure>{figure.svg}<figcaption>{escape(figure.caption)}</figcaption></figure>"
        for figure in report.figures
    ]
    for table in report.tables:
        body.append(f"<h2>{escape(table.name)}</h2>")
        body.append(f'<p class="quiet">{escape(table.note)}</p><div class="wide">{_table(table.grid)}</div>')
    for head, texts in _lists(report):
        items = "".join(f"<li>{escape(text)}</li>" for text in texts)
        body.append(f"<h2>{head}</h2><ul>{items}</ul>")
    body.append(f"<h2>Repeat it</h2><pre><code>{escape(report.command)}</code></pre>")
    body.append(f'<p class="quiet">{escape(report.source)}</p>')
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.question)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _lists(report: StudyReport) -> list[tuple[str, Sequence[str]]]:
    sections = [
        ("What surprises", report.surprises),
        ("Where the answer is known", report.controls),
        ("What it cannot show", report.limits),
    ]
    return [(head, texts) for head, texts in sections if texts]


def _table(grid: Grid) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in grid.heads)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell.text)}</td>" for cell in row) + "</tr>" for row in grid.rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _alone(svg: str) -> str:
    """A figure that stands without the page: its own paper and dark theme."""
    head, _, rest = svg.partition(">")
    return f'{head}><style>{DARK_STYLE}</style><rect width="100%" height="100%" fill="{PAPER}"/>{rest}\n'
