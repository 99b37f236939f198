"""The page's HTML as served: the template with every figure in its place."""

import re
from html import escape
from pathlib import Path
from typing import Final

from dashboards.page.diagram import TALL, WIDE, drawing
from dashboards.page.figures import Figure

STATIC: Final = Path(__file__).with_name("static")
_FIGURE: Final = re.compile(r'<data data-figure="(\w+)"></data>')
_TRUTH_TEXT: Final = {True: "what the simulation knows", False: "what a bank knows now"}


def render(
    template: str,
    figures: dict[str, Figure],
    boxes: dict[str, str],
    problem: str,
    *,
    truth: bool,
    may: bool,
    controls: bool = False,
) -> str:
    """The document.

    Args:
        may: whether the truth may be shown at all.
        controls: whether the page takes controls.
    """
    pieces = {
        "diagram": drawing(WIDE, figures, boxes) + drawing(TALL, figures, boxes),
        "problem": escape(problem),
        "hidden": "" if problem else "hidden",
        "truth": "on" if truth else "off",
        "view": _TRUTH_TEXT[truth],
        "current_on": 'aria-current="true"' if truth else "",
        "current_off": "" if truth else 'aria-current="true"',
        "may": "" if may else "hidden",
        "controls": "on" if controls else "off",
    }
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: pieces[match[1]], template)
    return _FIGURE.sub(lambda match: _data(match[1], figures[match[1]]), text)


def _data(name: str, figure: Figure) -> str:
    value, text = figure
    attribute = "" if value is None else f' value="{value}"'
    return f'<data data-figure="{name}"{attribute}>{escape(text)}</data>'
