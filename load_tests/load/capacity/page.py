"""The page of a capacity: the steps, the chance to meet the objective by rate, and the costs."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from fraudsim.drawing.pages import figure, html_page
from fraudsim.drawing.plot import Plot
from fraudsim.drawing.scales import log_ticks
from fraudsim.drawing.themes import FRAUD, PALETTE, QUIET
from load_tests.load.capacity.estimate import chance_met


def capacity_page(result: Mapping[str, Any]) -> str:
    """The page as text."""
    if result["rate"] is None:
        title, lead = "Capacity: not measured", result["why"]
    else:
        title = f"Capacity: {result['rate']:,.0f} a second"
        lead = f"95 % from {result['low']:,.0f} to {result['high']:,.0f}; {result['why']}"
    conditions = result["conditions"]
    rows = "".join(_row(step) for step in result["steps"])
    table = (
        '<div class="wide"><table><tr><th>rate</th><th>verdict</th><th>from above</th><th>p50 ms</th>'
        f"<th>p99 ms</th><th>CPU µs each</th><th>why</th></tr>{rows}</table></div>"
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(lead)}.</p>",
        f'<p class="quiet">{escape(str(conditions["target"]))}; {escape(_objectives(result["objectives"]))}; '
        f"restarts: {escape(str(conditions['restarts']))}</p>",
        figure(_draw(result), "Dots: steps that met (above) or missed (below) the objective.", wide=True),
        "<h2>Steps</h2>",
        table,
        f'<p class="quiet"><code>{escape(conditions["environment"]["command"])}</code></p>',
    ]
    return html_page(title, body)


def _objectives(limits: Mapping[str, float]) -> str:
    """The objectives in words."""
    words = [
        f"errors within {limit:.3%}" if key == "errors" else f"{key.removesuffix('_ms')} within {limit:g} ms"
        for key, limit in limits.items()
    ]
    return ", ".join(words)


def _row(step: Mapping[str, Any]) -> str:
    cpu_us = sum(cost["cpu_us"] for cost in step["costs"].get("processes", {}).values())
    cells = "".join(
        f'<td class="number">{"-" if value is None else f"{value:,.2f}"}</td>'
        for value in (step["p50_ms"], step["p99_ms"], cpu_us or None)
    )
    above = "yes" if step["from_above"] else ""
    return (
        f'<tr><td class="number">{step["rate"]:,.1f}</td><td>{escape(step["verdict"])}</td><td>{above}</td>'
        f"{cells}<td>{escape(step['why'])}</td></tr>"
    )


def _draw(result: Mapping[str, Any]) -> str:
    measured = [step for step in result["steps"] if step["verdict"] != "not measured"]
    if not measured:
        return ""
    rates, met = [step["rate"] for step in measured], [step["verdict"] == "met" for step in measured]
    low, high = min(rates) * 0.8, max(rates) * 1.25
    plot = Plot(
        "Chance to meet the objective", "By rate, with the steps that it was fitted to.",
        width=1060, height=260, top=40,
    )  # fmt: skip
    x, y = plot.x_scale(low, high, log=True), plot.y_scale(-0.08, 1.08)
    plot.y_axis(y, [(0.0, "0"), (0.5, "50 %"), (1.0, "100 %")], "steps that meet the objective")
    plot.x_axis(x, log_ticks(low, high), "requests a second")
    curve = np.geomspace(low, high, 120)
    plot.line(curve.tolist(), chance_met(curve, rates, met).tolist(), x, y, PALETTE[0])
    for rate, was_met in zip(rates, met, strict=True):
        colour = PALETTE[2] if was_met else FRAUD
        plot.dot(x(rate), y(1.0 if was_met else 0.0), colour, f"{rate:g}/s: {'met' if was_met else 'missed'}")
    if result["rate"] is not None:
        for edge in (result["low"], result["high"]):
            if low <= edge <= high:
                plot.line_between(x(edge), plot.top, x(edge), plot.height - plot.bottom, QUIET)
    return plot.render()
