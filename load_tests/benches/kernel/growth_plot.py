"""The plot of `fraudsim bench growth`: small panels in one SVG."""

from collections.abc import Sequence
from itertools import chain
from math import ceil, floor, log10
from typing import Any, Final

from fraudsim.drawing.plot import Plot, panels
from fraudsim.drawing.scales import Tick, log_ticks
from fraudsim.drawing.themes import PALETTE, QUIET
from load_tests.benches.kernel.growth import series
from stream_features.catalogue.features import DAY, HOUR, MINUTE

OURS, RIVAL, FOLD = PALETTE[0], PALETTE[1], PALETTE[2]
SWEEPS: Final = {
    "heat": "events of the key in 30 days",
    "history": "days of history",
    "window": "longest window",
}
"""Sweeps and the labels of their axes."""
TIMES: Final = (("read", "read", OURS), ("fold", "fold", FOLD), ("recompute", "recomputed", RIVAL))
SIZES: Final = (("read", "state", OURS), ("recompute", "stored events", RIVAL))
"""(action, name in the legend, colour)."""
DASHES: Final = {"merchant": "", "card": "5 4"}
NOTES: Final = (
    "whole lines: a merchant (tiles)",
    "dashed lines: a card (rows, 2,048 at most)",
    "read: all windows of the entity, once",
    "fold: one more event, state copied",
    "recomputed: one pass over the stored events",
)
WIDTH: Final = 560
HEIGHT: Final = 280


def growth_svg(report: dict[str, Any]) -> str:
    """SVG of the plot: time above, bytes below, against heat, history and window.

    A merchant's lines are whole, a card's dashed.
    """
    plots = [_panel(report, sweep, "value", "ns", TIMES) for sweep in SWEEPS]
    plots += [_panel(report, sweep, "bytes", "bytes", SIZES) for sweep in ("heat", "history")]
    notes = Plot("How to read the growth plot", "; ".join(NOTES), WIDTH, HEIGHT)
    for row, note in enumerate(NOTES):
        notes.text(72, 60 + 24 * row, note, colour=QUIET)
    return panels([*plots, notes], columns=3)


def _panel(
    report: dict[str, Any], sweep: str, measure: str, unit: str, lines: Sequence[tuple[str, str, str]]
) -> Plot:
    line_points = {
        (entity, colour): series(report["results"], sweep, entity, action)
        for entity in DASHES
        for action, _, colour in lines
    }
    xs = [point["at"] for point in chain.from_iterable(line_points.values())]
    ys = [max(1, point[measure]) for point in chain.from_iterable(line_points.values())]
    low, high = 10.0 ** floor(log10(min(ys))), 10.0 ** ceil(log10(max(ys)))
    plot = Plot(f"{measure} by {sweep}", f"{unit} against {SWEEPS[sweep]}", WIDTH, HEIGHT, left=76, top=34)
    x, y = plot.x_scale(min(xs), max(xs), log=True), plot.y_scale(low, high, log=True)
    plot.y_axis(y, log_ticks(low, high), unit)
    plot.x_axis(x, _x_ticks(sweep, sorted(set(xs))), SWEEPS[sweep])
    for (entity, colour), points in line_points.items():
        plot.line([r["at"] for r in points], [r[measure] for r in points], x, y, colour, DASHES[entity])
    plot.legend([(name, colour) for _, name, colour in lines])
    return plot


def _x_ticks(sweep: str, values: list[int]) -> list[Tick]:
    if sweep == "heat":
        return log_ticks(values[0], values[-1])
    return [(value, _span(value) if sweep == "window" else str(value)) for value in values]


def _span(ms: int) -> str:
    size, letter = next(
        (size, letter) for size, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")) if ms >= size
    )
    return f"{ms // size} {letter}"
