"""Plots of amounts, typologies, campaigns and label delays, one function each: counts in, SVG out."""

from typing import Final

import numpy as np

from fraudsim.drawing.plot import Plot, text_px
from fraudsim.drawing.scales import Tick, linear_ticks, log_ticks, nice_step, round_up
from fraudsim.drawing.themes import FRAUD, INK, PALETTE, QUIET
from producers.page.aggregates import AMOUNT_EDGES, DELAY_DAYS, Aggregates, CampaignSummary, TypologyCounts
from producers.page.time_plots import CLASS_COLOURS, centre_ticks, day_ticks

_UNITS: Final = ((1, "min", 180), (60, "h", 4320), (1440, "d", float("inf")))
"""Minutes in a unit, its name, and the longest span in minutes that it is used for."""
_SOURCES: Final = {
    "any": ("any source", INK),
    "customer": ("customer", PALETTE[0]),
    "analyst": ("analyst", PALETTE[2]),
    "chargeback": ("chargeback", PALETTE[1]),
}


def draw_amounts(aggregates: Aggregates) -> str:
    """Distributions of honest and fraudulent amounts on a logarithmic scale."""
    used_bins = np.flatnonzero(aggregates.honest.amounts + aggregates.fraud.amounts)
    first, final_percent = (
        (int(used_bins[0]), int(used_bins[-1]) + 1) if len(used_bins) else (0, len(AMOUNT_EDGES) - 1)
    )
    edges = list(AMOUNT_EDGES[first : final_percent + 1] / 100)
    shares = [
        100 * counts.amounts[first:final_percent] / max(counts.number, 1)
        for counts in (aggregates.honest, aggregates.fraud)
    ]
    top = round_up(float(max(share.max() for share in shares)))
    unit = aggregates.currency or "units"
    plot = Plot(
        "Amounts, honest against fraud",
        f"Median {aggregates.honest.median_cents / 100:,.2f} {unit} honest, "
        f"{aggregates.fraud.median_cents / 100:,.2f} {unit} fraud.",
        width=1060,
        height=280,
        top=30,
    )
    x, y = plot.x_scale(edges[0], edges[-1], log=True), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top, unit=" %"), "share of each, by bin")
    for share, (_, colour) in zip(shares, CLASS_COLOURS, strict=True):
        plot.steps(edges, list(share), x, y, colour)
    plot.legend(CLASS_COLOURS)
    plot.x_axis(x, log_ticks(edges[0], edges[-1]), f"amount, {unit} (twelve bins a decade)")
    return plot.render()


def draw_typology_shares(typologies: list[TypologyCounts], transactions: int) -> str:
    """Each typology's share of all transactions."""
    row = 24
    labels = max(text_px(_title(t.name)) for t in typologies) + 14
    plot = Plot(
        "Fraud by typology",
        "; ".join(f"{_title(t.name)} {100 * t.frauds / transactions:.4f} %" for t in typologies),
        width=1060,
        height=row * len(typologies) + 50,
        left=labels,
        right=290,
        top=4,
    )
    top = 100 * typologies[0].frauds / transactions
    x = plot.x_scale(0, top)
    plot.x_axis(x, linear_ticks(0, top, 6, " %"), "share of all transactions", lines=True)
    for i, t in enumerate(typologies):
        share = 100 * t.frauds / transactions
        y = plot.top + i * row
        plot.text(labels - 8, y + 16, _title(t.name), anchor="end")
        plot.bar(x(0), y + 4, x(share) - x(0), row - 8, FRAUD)
        note = f"{share:.4f} %, {t.frauds:,} frauds"
        if t.campaigns:
            note += f", {t.campaigns:,} campaign{'s' if t.campaigns != 1 else ''}"
        plot.text(x(share) + 8, y + 16, note, colour=QUIET)
    return plot.render()


def draw_typology_timeline(counts: TypologyCounts, start_ms: int) -> str:
    """Frauds per day of one typology, on a scale of its own."""
    days, top = len(counts.per_day), round_up(float(max(counts.per_day.max(), 1)), 3)
    plot = Plot(
        f"{_title(counts.name)}: frauds per day",
        f"At most {counts.per_day.max():,} on a day, {counts.frauds:,} in {days} days.",
        width=260,
        height=120,
        left=34,
        right=8,
        top=26,
        bottom=26,
    )
    x, y = plot.x_scale(0, days), plot.y_scale(0, top)
    plot.y_axis(y, [(v, f"{v:,.0f}") for v, _ in linear_ticks(0, top, 3) if v == int(v)], "")
    plot.text(2, 14, _title(counts.name), bold=True)
    plot.text(plot.width - plot.right, 14, "frauds a day", anchor="end", colour=QUIET, size=11)
    bar_width = x(1) - x(0)
    for i, value in enumerate(counts.per_day):
        if value:
            plot.bar(x(i), y(value), bar_width * 0.9, y(0) - y(value), FRAUD, f"day {i}: {value:,}")
    plot.x_axis(x, centre_ticks(day_ticks(start_ms, days, 4)), "")
    return plot.render()


def draw_campaign(name: str, summary: CampaignSummary, currency: str) -> str:
    """Time against amount of one campaign, one colour per card."""
    unit = currency or "units"
    elapsed = (summary.ts - summary.ts.min()) / 60_000
    span, ticks = _elapsed_ticks(float(elapsed.max()))
    amounts = summary.amount_cents / 100
    low, high = _amount_range(float(amounts.min()), float(amounts.max()))
    cards = int(summary.card.max()) + 1
    plot = Plot(
        f"{_title(name)}: {summary.campaign_id}",
        f"{len(summary.ts)} transactions of {cards} cards, "
        f"{amounts.min():,.2f} to {amounts.max():,.2f} {unit}.",
        width=340,
        height=218,
        left=50,
        right=16,
        top=48,
        bottom=40,
    )
    x, y = plot.x_scale(-0.03 * span, 1.03 * span), plot.y_scale(low, high, log=True)
    plot.text(2, 14, _title(name), bold=True)
    plot.y_axis(y, log_ticks(low, high), f"{unit}")
    for minutes, amount, card in zip(elapsed, amounts, summary.card, strict=True):
        colour = PALETTE[int(card) % len(PALETTE)]
        tip = f"card {int(card) + 1}: {amount:,.2f} {unit}"
        plot.dot(x(float(minutes)), y(float(amount)), colour, tip)
    plot.x_axis(x, ticks, "since its first transaction")
    return plot.render()


def campaign_caption(summary: CampaignSummary) -> str:
    """Counts that the plot of a campaign does not show."""
    cards = int(summary.card.max()) + 1
    counts = [
        _plural(len(summary.ts), "transaction"),
        _plural(cards, "card"),
        _plural(summary.merchants, "merchant"),
        _plural(summary.devices, "device") if summary.devices else "no device seen",
    ]
    return f"{summary.campaign_id}: {', '.join(counts)}"


def draw_label_arrivals(aggregates: Aggregates) -> str:
    """Share of frauds known by delay since the transaction, on a logarithmic scale of time."""
    final_percent = {name: 100 * float(curve[-1]) for name, curve in aggregates.arrivals.items()}
    plot = Plot(
        "How fraud comes to be known",
        "; ".join(
            f"{_SOURCES[name][0]} {share:.0f} % within 120 days" for name, share in final_percent.items()
        ),
        width=1060,
        height=300,
        right=120,
        top=30,
    )
    x, y = plot.x_scale(float(DELAY_DAYS[0]), float(DELAY_DAYS[-1]), log=True), plot.y_scale(0, 100)
    plot.y_axis(y, linear_ticks(0, 100, unit=" %"), "share of frauds that have a fraud label")
    label_ys: list[float] = []
    for name in sorted(final_percent, key=lambda key: -final_percent[key]):
        title, colour = _SOURCES[name]
        plot.line(list(DELAY_DAYS), list(100 * aggregates.arrivals[name]), x, y, colour)
        # A label goes below the one above it if their curves end close together.
        label_y = y(final_percent[name]) + 4
        if label_ys and label_y < label_ys[-1] + 15:
            label_y = label_ys[-1] + 15
        label_ys.append(label_y)
        plot.text(
            x(float(DELAY_DAYS[-1])) + 6, label_y, f"{title} {final_percent[name]:.0f} %", colour=colour
        )
    ticks = [(1 / 24, "1 h"), (0.25, "6 h"), (1, "1 day"), (3, "3 days"), (7, "7 days"), (14, "14 days")]
    ticks += [(30, "30 days"), (60, "60 days"), (120, "120 days")]
    plot.x_axis(x, ticks, "since the transaction (logarithmic)", lines=True)
    return plot.render()


def _title(typology: str) -> str:
    return typology.replace("_", " ")


def _plural(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _elapsed_ticks(minutes: float) -> tuple[float, list[Tick]]:
    """A span of at least `minutes`, and ticks in the unit of `_UNITS` that fits."""
    per_unit, name = next((size, unit) for size, unit, most in _UNITS if minutes <= most)
    span = max(minutes, per_unit)
    step = max(nice_step(span / per_unit, 5), 1)
    count = int(span / per_unit / step + 1e-9)
    return span, [(i * step * per_unit, f"{i * step:g} {name}") for i in range(count + 1)]


def _amount_range(low: float, high: float) -> tuple[float, float]:
    """The ends of a logarithmic axis: a margin on both sides, and at least a factor of ten."""
    low, high = low / 1.3, high * 1.3
    if high / low < 10:
        middle = (low * high) ** 0.5
        low, high = middle / 10**0.5, middle * 10**0.5
    return low, high
