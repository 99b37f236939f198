"""A plot under construction: axes and marks in, one `<svg>` element out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import isnan
from typing import Final

from fraudsim.drawing.scales import LinearScale, LogScale, Scale, Tick
from fraudsim.drawing.themes import DARK_STYLE, GRID, INK, PAPER, QUIET, RAMP

FONT_PX: Final = 12
_LETTER_PX: Final = 7.4
"""Mean width of a letter of a wide interface font (DejaVu Sans) at `FONT_PX`."""


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

    def y_axis(self, scale: Scale, ticks: Sequence[Tick], title: str, lines: bool = True) -> None:
        """Draw grid lines, unless a heat map covers them, labels to the left, and the title above them."""
        for value, label in ticks:
            position = scale(value)
            if lines:
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

    def interval(self, x: float, low: float, high: float, colour: str, tip: str = "", cap: float = 4) -> None:
        """Draw a vertical interval, such as an estimate's confidence, with a cap at both ends; in px."""
        tip_html = f"<title>{escape(tip)}</title>" if tip else ""
        self.parts.append(
            f'<path d="M{x - cap:.1f} {low:.1f}h{2 * cap:g}M{x - cap:.1f} {high:.1f}h{2 * cap:g}'
            f'M{x:.1f} {low:.1f}V{high:.1f}" fill="none" stroke="{colour}" stroke-width="1.5">'
            f"{tip_html}</path>"
        )

    def band(
        self,
        xs: Sequence[float],
        lows: Sequence[float],
        highs: Sequence[float],
        x: Scale,
        y: Scale,
        colour: str,
    ) -> None:
        """Fill the area between two lines lightly, such as an interval along a curve."""
        forward = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, highs, strict=True)]
        backward = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, lows, strict=True)]
        self.parts.append(
            f'<polygon points="{" ".join(forward + backward[::-1])}" fill="{colour}" fill-opacity="0.16"/>'
        )

    def heat_map(
        self,
        edges: tuple[Sequence[float], Sequence[float]],
        values: Sequence[Sequence[float]],
        x: Scale,
        y: Scale,
        tones: "Tones",
    ) -> None:
        """Draw a cell for each value: `values[i][j]` lies between x edges j, j + 1 and y edges i, i + 1.

        A cell that is NaN is left out.
        """
        x_edges, y_edges = edges
        for row, low, high in zip(values, y_edges[:-1], y_edges[1:], strict=True):
            for value, left, right in zip(row, x_edges[:-1], x_edges[1:], strict=True):
                if isnan(value):
                    continue
                top, bottom = sorted((y(low), y(high)))
                start, end = sorted((x(left), x(right)))
                # Half a pixel of paper between cells, so that their borders are seen in either theme.
                self.bar(
                    start,
                    top,
                    end - start - 0.5,
                    bottom - top - 0.5,
                    tones.colour(value),
                    f"{value:g}{tones.unit}",
                )

    def tone_legend(self, tones: "Tones", y: float | None = None) -> None:
        """Draw the tones of a heat map from low to high, in one line that ends at the right margin."""
        height = self.top - 14 if y is None else y
        high, low = f"{tones.high:g}{tones.unit}", f"{tones.low:g}{tones.unit}"
        end = self.width - self.right - text_px(high) - 6
        self.text(self.width - self.right, height, high, anchor="end", colour=QUIET)
        for number, colour in enumerate(reversed(RAMP), 1):
            self.bar(end - 12 * number, height - 9, 12, 10, colour)
        self.text(end - 12 * len(RAMP) - 6, height, low, anchor="end", colour=QUIET)

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


@dataclass(frozen=True)
class Tones:
    """Which tone of `RAMP` a value of a heat map has; values beyond the ends have the end's tone."""

    low: float
    high: float
    log: bool = False
    unit: str = ""

    def colour(self, value: float) -> str:
        kind = LogScale if self.log else LinearScale
        share = kind(self.low, self.high, 0, 1)(value)
        return RAMP[min(max(int(share * len(RAMP)), 0), len(RAMP) - 1)]


def panels(plots: Sequence[Plot], columns: int) -> str:
    """Plots of one size beside and below each other, in one SVG that stands alone, in both themes."""
    width, height = plots[0].width, plots[0].height
    content = "".join(
        plot.render().replace(
            "<svg ",
            f'<svg x="{index % columns * width:g}" y="{index // columns * height:g}" '
            f'width="{width:g}" height="{height:g}" ',
            1,
        )
        for index, plot in enumerate(plots)
    )
    rows = -(-len(plots) // columns)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * width:g} {rows * height:g}">'
        f'<style>{DARK_STYLE}</style><rect width="100%" height="100%" fill="{PAPER}"/>{content}</svg>\n'
    )
