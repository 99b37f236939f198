"""Reliability diagrams of the treatments study: found fraud rate by mean probability, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Final

from fraudsim.drawing.plot import Plot
from fraudsim.drawing.themes import GRID, PALETTE
from model.treatments.reliability import ReliabilityBin

LEAST: Final = 1e-4
TICKS: Final = ((1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %"))


def reliability_svg(series: Mapping[str, Sequence[ReliabilityBin]]) -> str:
    """One diagram of several series of bins, both axes logarithmic; what is below 0.01 % is at the edge."""
    plot = Plot(
        "Reliability",
        "Fraud rate that was found by mean probability, with 90 % intervals; the diagonal is perfect.",
        width=620,
        height=440,
        top=100,
    )
    x, y = plot.x_scale(LEAST, 1, log=True), plot.y_scale(LEAST, 1, log=True)
    plot.x_axis(x, TICKS, "mean probability")
    plot.y_axis(y, TICKS, "fraud rate")
    plot.line([LEAST, 1], [LEAST, 1], x, y, GRID, dash="4 3")
    for (name, bins), colour in zip(series.items(), PALETTE, strict=False):
        for bin_ in bins:
            across = x(max(bin_.mean_probability, LEAST))
            tip = f"{name}: {bin_.count:,} transactions, {bin_.frauds:,} frauds"
            plot.interval(across, y(max(bin_.high, LEAST)), y(max(bin_.low, LEAST)), colour, tip)
            plot.dot(across, y(max(bin_.fraud_rate, LEAST)), colour, tip)
    for number, ((name, _), colour) in enumerate(zip(series.items(), PALETTE, strict=False)):
        plot.legend([(name, colour)], y=14 + 15 * number)
    return plot.render()
