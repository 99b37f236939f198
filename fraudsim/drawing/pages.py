"""What pages of plots share: the style sheet in both themes, the frame of a page, figures."""

from collections.abc import Sequence
from html import escape
from typing import Final

from fraudsim.drawing.themes import DARK, DARK_STYLE, GRID, INK, PAPER, QUIET

_VARIABLES: Final = {"paper": PAPER, "ink": INK, "quiet": QUIET, "grid": GRID}
_LIGHT: Final = " ".join(f"--{name}: {colour};" for name, colour in _VARIABLES.items())
_DARK: Final = " ".join(f"--{name}: {DARK[colour]};" for name, colour in _VARIABLES.items())
STYLE: Final = (
    f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
{DARK_STYLE}"""
    + """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1100px; padding: 28px 20px 60px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 19px; margin: 38px 0 6px; }
p { margin: 6px 0; max-width: 75ch; } .quiet, figcaption { color: var(--quiet); font-size: 13px; }
figure { margin: 10px 0; } svg { display: block; width: 100%; height: auto; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 4px 24px; }
.four { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 4px 16px; }
.three { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 8px 18px; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px 18px;
  margin: 18px 0; padding: 14px 0; border: solid var(--grid); border-width: 1px 0; }
.facts dt { color: var(--quiet); font-size: 13px; } .facts dd { margin: 0; font-size: 20px; }
.wide { overflow-x: auto; } .wide svg, .wide table { min-width: 720px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 6px 14px 6px 0;
  border-bottom: 1px solid var(--grid); }
td.number { white-space: nowrap; font-variant-numeric: tabular-nums; } th { font-weight: 600; }
code { font-size: 13px; }
"""
)
"""Of a page that stands alone."""


def html_page(title: str, body: Sequence[str]) -> str:
    """A whole page; empty parts of the body are left out."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def figure(svg: str, caption: str = "", wide: bool = False) -> str:
    """A figure; a wide one scrolls sideways on a narrow screen, so that its text stays legible."""
    caption_html = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    body = f'<div class="wide">{svg}</div>' if wide else svg
    return f"<figure>{body}{caption_html}</figure>"
