"""The study's figures: heat map, curve, net loss by regime."""

from collections.abc import Sequence
from math import floor, log10, nan
from typing import Final

from fraudsim.drawing.plot import Plot, Tones
from fraudsim.drawing.scales import LinearScale, Tick, round_up
from fraudsim.drawing.themes import FRAUD, GRID, HONEST, INK, PALETTE, QUIET
from studies.freshness.result import ArmCell, Curve, TypologyCell
from studies.report import spaced

WIDTH: Final = 720.0
ROW: Final = 22.0


def minutes_text(minutes: float) -> str:
    """A time for people.

    >>> minutes_text(90)
    '1.5 h'
    """
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    if minutes < 60:
        return f"{minutes:.3g} min"
    return f"{minutes / 60:.3g} h" if minutes < 2880 else f"{minutes / 1440:.3g} d"


def tempo_text(tempo: float) -> str:
    """A tempo for people."""
    return "attacks at their usual tempo" if tempo == 1 else f"attacks {tempo:g} times as fast"


def heat_map(cells: Sequence[TypologyCell], staleness: dict[str, float], tempo: float) -> Plot:
    """Loss by typology and staleness at one tempo, percentage points of the money that campaigns planned."""
    arms = sorted(staleness, key=staleness.__getitem__)
    names = sorted({cell.typology for cell in cells if cell.tempo == tempo})
    by_key = {(cell.typology, cell.arm): cell for cell in cells if cell.tempo == tempo}
    plot = Plot(
        f"Loss by staleness, {tempo_text(tempo)}",
        "Rows are typologies, columns jobs by their period; darker loses more. Hatched: under 30 campaigns.",
        width=WIDTH,
        height=80 + ROW * len(names),
        left=172,
        top=34,
    )
    x = plot.x_scale(0, len(arms))
    y = LinearScale(0, len(names), plot.top, plot.top + ROW * len(names))
    shown = [cell.lost.mean for cell in by_key.values() if cell.arm in staleness and not cell.hatched]
    tones = Tones(0, max([5.0, *(round_up(value) for value in shown)]), unit=" points")
    values = [
        [nan if (cell := by_key.get((name, arm))) is None or cell.hatched else cell.lost.mean for arm in arms]
        for name in names
    ]
    plot.heat_map(
        ([*map(float, range(len(arms) + 1))], [*map(float, range(len(names) + 1))]), values, x, y, tones
    )
    for row, name in enumerate(names):
        plot.text(plot.left - 8, y(row + 0.5) + 4, spaced(name), anchor="end", colour=INK)
        for column, arm in enumerate(arms):
            cell = by_key.get((name, arm))
            if cell is None or cell.hatched:
                _hatch(plot, x(column), y(row), x(column + 1), y(row + 1))
            else:
                value = f"{round(cell.lost.mean):+d}" if round(cell.lost.mean) else "0"
                dark = cell.lost.mean > 0.45 * tones.high
                plot.text((x(column) + x(column + 1)) / 2, y(row + 0.5) + 4, value, anchor="middle",
                          colour="#ffffff" if dark else INK)  # fmt: skip
    for column, arm in enumerate(arms):
        plot.text((x(column) + x(column + 1)) / 2, plot.top + ROW * len(names) + 16,
                  arm.removeprefix("job every "), anchor="middle", colour=QUIET)  # fmt: skip
    plot.tone_legend(tones)
    return plot


def _hatch(plot: Plot, left: float, top: float, right: float, bottom: float) -> None:
    step = 8.0
    position = left + step / 2
    while position < right:
        plot.line_between(position, bottom - 2, min(position + step, right), top + 2, GRID)
        position += step


def curve_plot(cells: Sequence[TypologyCell], staleness: dict[str, float], curve: Curve, over: str) -> Plot:
    """Loss over staleness divided by a time of the attack; one dot a cell, and the common curve."""
    plot = Plot(
        f"Loss over staleness divided by the {over}",
        f"Each dot is a typology at a tempo under a job; the line rises where all of them do, and explains "
        f"{100 * curve.spread:.0f} % of their variance.",
        width=WIDTH,
        height=350,
        top=44,
    )
    points = [
        (staleness[cell.arm] / max(_time(cell, over), 0.01), cell)
        for cell in cells
        if cell.arm in staleness and not cell.hatched and cell.duration_minutes > 0
    ]
    if not points:
        return plot
    low, high = min(p for p, _ in points), max(p for p, _ in points)
    x = plot.x_scale(low, high, log=True)
    bottom = min(0.0, *(cell.lost.mean for _, cell in points))
    y = plot.y_scale(bottom, round_up(max(1.0, *(cell.lost.mean for _, cell in points))))
    decades = range(floor(log10(low)), floor(log10(high)) + 1)
    ticks: list[Tick] = [(10.0**power, f"{10.0**power:g}") for power in decades if low <= 10.0**power <= high]
    plot.x_axis(x, ticks, f"mean staleness ÷ {over}")
    step = max(1.0, round_up(y.high if isinstance(y, LinearScale) else 1.0) / 5)
    values = [
        step * n
        for n in range(
            int(bottom // step), int(round_up(max(1.0, *(c.lost.mean for _, c in points))) // step) + 1
        )
    ]
    plot.y_axis(
        y, [(value, f"{value:g}") for value in values], "points of the planned money lost against fresh"
    )
    for ratio, cell in points:
        tip = f"{spaced(cell.typology)}, tempo {cell.tempo:g}, {cell.arm}: {cell.lost.mean:+.1f}"
        colour = PALETTE[sorted({c.tempo for _, c in points}).index(cell.tempo) % len(PALETTE)]
        plot.dot(x(ratio), y(cell.lost.mean), colour, tip)
    if curve.points:
        xs, ys = zip(*curve.points, strict=True)
        plot.line(xs, ys, x, y, FRAUD)
    tempos = sorted({cell.tempo for _, cell in points})
    plot.legend([(f"tempo {tempo:g}", PALETTE[i % len(PALETTE)]) for i, tempo in enumerate(tempos)])
    return plot


def _time(cell: TypologyCell, over: str) -> float:
    return cell.gap_minutes if over == "time between attempts" else cell.duration_minutes


def net_loss_plot(cells: Sequence[ArmCell], tempo: float, fresh: str) -> Plot:
    """Net loss of every regime against fresh features, with intervals, at one tempo."""
    shown = [cell for cell in cells if cell.tempo == tempo and cell.arm != fresh]
    plot = Plot(
        f"Net loss against real time, {tempo_text(tempo)}",
        "Per 1,000 cards and week, paired over seeds, 95 % intervals; to the right costs more.",
        width=WIDTH,
        height=60 + ROW * len(shown),
        left=180,
    )
    ends = [
        value / 100
        for cell in shown
        for value in (cell.against_fresh.low, cell.against_fresh.high, cell.against_fresh.mean)
        if value is not None
    ]
    x = plot.x_scale(min(0.0, *ends), max(1.0, *ends))
    y = LinearScale(0, len(shown), plot.top, plot.top + ROW * len(shown))
    plot.line_between(x(0), plot.top, x(0), plot.top + ROW * len(shown), QUIET)
    for row, cell in enumerate(shown):
        difference, middle = cell.against_fresh, y(row + 0.5)
        plot.text(plot.left - 8, middle + 4, cell.arm, anchor="end", colour=INK)
        if difference.low is not None and difference.high is not None:
            plot.line_between(x(difference.low / 100), middle, x(difference.high / 100), middle, HONEST, 2)
        plot.dot(x(difference.mean / 100), middle, HONEST, f"{cell.arm}: {difference.text}")
    low, high = min(0.0, *ends), max(1.0, *ends)
    step = round_up((high - low) / 5)
    first = int(low // step) + (low % step > 0)
    for number in range(first, int(high // step) + 1):
        plot.text(
            x(number * step),
            plot.top + ROW * len(shown) + 16,
            f"{number * step:g}",
            anchor="middle",
            colour=QUIET,
        )
    return plot
