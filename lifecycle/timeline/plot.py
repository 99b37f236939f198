"""A timeline as a drawing: net loss by week with what happened, and two models on the same payments."""

from typing import Final

from dashboards.drift.decided_weeks import WEEK_MS
from fraudsim.drawing.plot import Plot, panels
from fraudsim.drawing.scales import Scale, linear_ticks, round_up
from fraudsim.drawing.themes import FRAUD, HONEST, INK, PALETTE, QUIET
from lifecycle.timeline.result import MarkKind, Timeline

WIDTH: Final = 560
HEIGHT: Final = 310
COLOURS: Final[dict[MarkKind, str]] = {
    "change": FRAUD, "alarm": PALETTE[5], "retraining": PALETTE[3], "shadow": PALETTE[4],
    "promotion": PALETTE[2],
}  # fmt: skip
"""Marks that are drawn, the first of each kind with its name; what comes later stands higher."""


def timeline_svg(timeline: Timeline) -> str:
    """Both plots in one SVG."""
    return panels([_losses(timeline), _models(timeline)], 1)


def _losses(timeline: Timeline) -> Plot:
    plot = Plot(
        "Net loss by week",
        "Net loss of each week, with the change of fraud, alarms, retraining, shadow and promotion.",
        width=WIDTH, height=HEIGHT, top=96,
    )  # fmt: skip
    x, y = _axes(plot, timeline, [week.net_loss for week in timeline.weeks])
    _draw_marks(plot, timeline, x, names=True)
    middles = [week.number + 0.5 for week in timeline.weeks]
    plot.line(middles, [week.net_loss / 100 for week in timeline.weeks], x, y, INK)
    for week in timeline.weeks:
        tip = f"week {week.number}: net loss {week.net_loss / 100:,.0f}, {week.frauds} frauds; {week.status}"
        plot.dot(x(week.number + 0.5), y(week.net_loss / 100), INK, tip, radius=2.5)
    plot.text(2, 12, "net loss per 1,000 cards and week")
    return plot


def _models(timeline: Timeline) -> Plot:
    plot = Plot(
        "Two models on the same payments",
        "Cost of the cheapest actions by the first champion and by the retrained model, week by week.",
        width=WIDTH, height=HEIGHT, top=48,
    )  # fmt: skip
    values = [cost for week in timeline.weeks for cost in (week.first_champion, week.last_champion)]
    x, y = _axes(plot, timeline, values)
    _draw_marks(plot, timeline, x, names=False)
    middles = [week.number + 0.5 for week in timeline.weeks]
    plot.line(middles, [week.first_champion / 100 for week in timeline.weeks], x, y, FRAUD, dash="5 3")
    plot.line(middles, [week.last_champion / 100 for week in timeline.weeks], x, y, HONEST)
    plot.text(2, 12, "cost of decisions on the vectors served, per 1,000 cards and week")
    plot.legend([("first champion", FRAUD), ("retrained", HONEST)], y=30)
    return plot


def _axes(plot: Plot, timeline: Timeline, cents: list[int]) -> tuple[Scale, Scale]:
    weeks = max(week.number for week in timeline.weeks) + 1
    high = round_up(max(1.0, *(value / 100 for value in cents)))
    x, y = plot.x_scale(0, weeks), plot.y_scale(0, high)
    plot.x_axis(x, [(float(n), str(n)) for n in range(0, weeks + 1, 5)], "weeks of event time")
    plot.y_axis(y, linear_ticks(0, high), "")
    return x, y


def _draw_marks(plot: Plot, timeline: Timeline, x: Scale, names: bool) -> None:
    base = plot.height - plot.bottom
    for row, (kind, colour) in enumerate(COLOURS.items()):
        marks = [mark for mark in timeline.marks if mark.kind == kind]
        for number, mark in enumerate(marks):
            at = x((mark.at_ms - timeline.start_ms) / WEEK_MS)
            level = 28 + 14 * (len(COLOURS) - 1 - row) if names else plot.top
            if number == 0 or kind != "alarm":
                plot.line_between(at, level, at, base, colour, width=1.5)
            else:
                plot.bar(at - 1.5, base - 6, 3, 6, colour, f"alarm: {mark.text}")
            if names and number == 0:
                others = f", {len(marks) - 1} more" if len(marks) > 1 else ""
                _label(plot, at, level + 4, f"{kind}{others}", colour)


def _label(plot: Plot, at: float, height: float, text: str, colour: str) -> None:
    """To the left of its line, above those of what came before."""
    plot.text(at - 5, height, text, anchor="end", colour=QUIET)
    plot.dot(at, height - 4, colour, radius=3)
