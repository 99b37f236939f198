"""Plots as inline SVG: scales, axes and a few marks; no script, style sheet or network."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10
from typing import Final, Protocol

INK: Final = "#22272e"
QUIET: Final = "#5b6470"
GRID: Final = "#e3e6ea"
HONEST: Final = "#3b6ea8"
FRAUD: Final = "#c2512f"
# Okabe and Ito's colours, distinct in every kind of colour vision, without the yellow, invisible on white.
PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")
FONT_PX: Final = 12
_LETTER_PX: Final = 7.4
"""Mean width of a letter of a wide interface font (DejaVu Sans) at `FONT_PX`."""

Tick = tuple[float, str]


class Scale(Protocol):
    """Maps a value to a position in px."""

    def __call__(self, value: float) -> float: ...


@dataclass(frozen=True)
class LinearScale:
    """Maps `low` to `start` and `high` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        return self.start + (value - self.low) / (span or 1.0) * (self.stop - self.start)


@dataclass(frozen=True)
class LogScale:
    """Maps equal ratios to equal lengths; `low` must be above 0, lower values map to its position."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        exponent = LinearScale(log10(self.low), log10(self.high), self.start, self.stop)
        return exponent(log10(max(value, self.low)))


def nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that divides a span into at most `most` parts."""
    if span <= 0:
        return 1.0
    power = 10.0 ** floor(log10(span / most))
    for factor in (1, 2, 5, 10):
        if span / (factor * power) <= most + 1e-9:
            return factor * power
    return 20 * power


def round_up(high: float, most: int = 5) -> float:
    """The end of an axis from 0 whose last tick is not below `high`."""
    step = nice_step(high, most)
    return ceil(high / step - 1e-9) * step


def linear_ticks(low: float, high: float, most: int = 5, unit: str = "") -> list[Tick]:
    """Round values from `low` to `high`, with as many decimals as distinguish them."""
    step = nice_step(high - low, most)
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    decimals = max(0, -floor(log10(step) + 1e-9))
    return [(i * step, f"{i * step:,.{decimals}f}{unit}") for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[Tick]:
    """Powers of ten from `low` to `high`; if these are few, also multiples in between."""
    powers = range(floor(log10(low) + 1e-9), ceil(log10(high) - 1e-9) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        values = [f * 10.0**p for p in powers for f in factors]
        inside = [v for v in values if low * 0.999 <= v <= high * 1.001]
        if len(inside) >= 3:
            break
    return [(v, f"{v:,.0f}" if v >= 1 else f"{v:g}") for v in inside]


def text_px(text: str, size: float = FONT_PX) -> float:
    """Approximate width of a text."""
    return len(text) * _LETTER_PX * size / FONT_PX


@dataclass
class Plot:
    """A plot under construction. Marks come in data units through `x` and `y`; `render` gives the SVG."""

    title: str
    """For screen readers; not drawn."""
    description: str
    width: float = 520
    height: float = 260
    left: float = 56
    right: float = 14
    top: float = 14
    bottom: float = 44
    parts: list[str] = field(default_factory=list)

    def x_scale(self, low: float, high: float, log: bool = False) -> Scale:
        kind = LogScale if log else LinearScale
        return kind(low, high, self.left, self.width - self.right)

    def y_scale(self, low: float, high: float, log: bool = False) -> Scale:
        kind = LogScale if log else LinearScale
        return kind(low, high, self.height - self.bottom, self.top)

    def x_axis(self, scale: Scale, ticks: Sequence[Tick], title: str, lines: bool = False) -> None:
        """Draw the axis; tick labels that would touch the previous one are left out."""
        base = self.height - self.bottom
        self.line_between(self.left, base, self.width - self.right, base, QUIET)
        free = -1e9
        for value, label in ticks:
            position = scale(value)
            if lines:
                self.line_between(position, self.top, position, base, GRID)
            self.line_between(position, base, position, base + 4, QUIET)
            half = text_px(label) / 2
            # Moved inside if the edge of the plot would cut it.
            middle = min(max(position, half + 1), self.width - half - 1)
            if middle - half > free + 4:
                self.text(middle, base + 17, label, anchor="middle", colour=QUIET)
                free = middle + half
        if title:
            self.text((self.left + self.width - self.right) / 2, self.height - 6, title, anchor="middle")

    def y_axis(self, scale: Scale, ticks: Sequence[Tick], title: str) -> None:
        """Draw grid lines, labels to the left, and the title above them."""
        for value, label in ticks:
            position = scale(value)
            self.line_between(self.left, position, self.width - self.right, position, GRID)
            self.text(self.left - 6, position + 4, label, anchor="end", colour=QUIET)
        if title:
            self.text(2, self.top - 14, title)

    def line_between(self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width:g}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        anchor: str = "start",
        colour: str = INK,
        bold: bool = False,
        size: float = FONT_PX,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
            f'font-size="{size:g}"{weight}>{escape(text)}</text>'
        )

    def bar(self, x: float, y: float, width: float, height: float, colour: str, tip: str = "") -> None:
        tip_html = f"<title>{escape(tip)}</title>" if tip else ""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0):.1f}" '
            f'fill="{colour}">{tip_html}</rect>'
        )

    def line(
        self, xs: Sequence[float], ys: Sequence[float], x: Scale, y: Scale, colour: str, dash: str = ""
    ) -> None:
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, ys, strict=True))
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-linejoin="round"{dashed}/>'
        )

    def steps(
        self, edges: Sequence[float], heights: Sequence[float], x: Scale, y: Scale, colour: str
    ) -> None:
        """Draw a histogram's outline, lightly filled; there is one edge more than heights."""
        base = y(0)
        points = [f"{x(edges[0]):.1f},{base:.1f}"]
        for low, high, value in zip(edges[:-1], edges[1:], heights, strict=True):
            points += [f"{x(low):.1f},{y(value):.1f}", f"{x(high):.1f},{y(value):.1f}"]
        points.append(f"{x(edges[-1]):.1f},{base:.1f}")
        self.parts.append(
            f'<polygon points="{" ".join(points)}" fill="{colour}" fill-opacity="0.16" stroke="{colour}" '
            'stroke-width="1.5"/>'
        )

    def dot(self, x: float, y: float, colour: str, tip: str = "", radius: float = 3.5) -> None:
        tip_html = f"<title>{escape(tip)}</title>" if tip else ""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}" fill-opacity="0.8">'
            f"{tip_html}</circle>"
        )

    def legend(self, entries: Sequence[tuple[str, str]], y: float | None = None) -> None:
        """Draw name and colour of each series, in one line that ends at the right margin."""
        position = self.width - self.right
        height = self.top - 14 if y is None else y
        for name, colour in reversed(entries):
            position -= text_px(name)
            self.text(position, height, name, colour=INK)
            position -= 15
            self.bar(position, height - 9, 10, 10, colour)
            position -= 14

    def render(self) -> str:
        """The `<svg>` element. Its ids follow from the title, so titles must differ on a page."""
        id_prefix = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'role="img" aria-labelledby="{id_prefix}-title {id_prefix}-desc" '
            f'font-family="system-ui, sans-serif">'
            f'<title id="{id_prefix}-title">{escape(self.title)}</title>'
            f'<desc id="{id_prefix}-desc">{escape(self.description)}</desc>{"".join(self.parts)}</svg>'
        )
