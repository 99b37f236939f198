"""The plots of a history's page, one function each: counts in, SVG out."""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from producers.page.aggregates import AMOUNT_EDGES, DELAY_DAYS, Aggregates, Campaign, TypologyCounts
from producers.page.svg import (
    FRAUD,
    HONEST,
    INK,
    PALETTE,
    QUIET,
    Plot,
    Tick,
    linear_ticks,
    log_ticks,
    nice_step,
    round_up,
    text_px,
)
from producers.population.columns import DAY_MS

_BOTH: Final = [("honest", HONEST), ("fraud", FRAUD)]
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS: Final[list[Tick]] = [(h, f"{h:02d}") for h in range(0, 25, 3)]
LONG_DAYS: Final = 60
"""Above, seasons and months are drawn too."""
_UNITS: Final = ((1, "min", 180), (60, "h", 4320), (1440, "d", float("inf")))
"""Minutes in a unit, its name, and up to how many minutes it is used."""
_SOURCES: Final = {
    "any": ("any source", "#22272e"),
    "customer": ("customer", PALETTE[0]),
    "analyst": ("analyst", PALETTE[2]),
    "chargeback": ("chargeback", PALETTE[1]),
}


def day_ticks(start_ms: int, days: int, most: int = 7) -> list[Tick]:
    """At most `most` dates, by days since the start."""
    step = next((s for s in (1, 2, 7, 14, 28, 56, 91, 182, 365, 730) if days / s <= most), days)
    first = datetime.fromtimestamp(start_ms / 1000, UTC)
    dates = [(i, first + timedelta(days=i)) for i in range(0, days, step)]
    return [(i, f"{date.day} {date:%b}") for i, date in dates]


def per_day(found: Aggregates) -> str:
    """Transactions per day above, the share of fraud below."""
    total = found.honest.per_day + found.fraud.per_day
    days = len(total)
    top = float(total.max())
    plot = Plot(
        "Transactions per day",
        f"Between {total.min():,} and {total.max():,} a day over {days} days, mean {total.mean():,.0f}.",
        width=1060,
        height=230,
        top=30,
    )
    top = round_up(top)
    x, y = plot.x_scale(0, days), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top), "transactions a day")
    wide = x(1) - x(0)
    for i, value in enumerate(total):
        tip = f"day {i}: {value:,} transactions, {found.fraud.per_day[i]:,} frauds"
        plot.bar(x(i) + wide * 0.1, y(value), wide * 0.8, y(0) - y(value), HONEST, tip)
    if days > LONG_DAYS:
        weekly = np.convolve(total, np.full(7, 1 / 7), mode="valid")
        plot.line([i + 3.5 for i in range(len(weekly))], list(weekly), x, y, INK)
        plot.legend([("each day", HONEST), ("mean of seven days", INK)])
    plot.x_axis(x, _middle(day_ticks(found.start_ms, days, 15)), "day (UTC)")
    return plot.render()


def fraud_per_day(found: Aggregates) -> str:
    """Share of each day's transactions."""
    share = 100 * found.fraud.per_day / np.maximum(found.honest.per_day + found.fraud.per_day, 1)
    days, top = len(share), round_up(float(max(share.max(), 1e-9)), 4)
    plot = Plot(
        "Fraud per day",
        f"Between {share.min():.2f} and {share.max():.2f} % of a day's transactions.",
        width=1060,
        height=170,
        top=30,
    )
    x, y = plot.x_scale(0, days), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top, 4, " %"), "fraud, share of the day's transactions")
    wide = x(1) - x(0)
    for i, value in enumerate(share):
        tip = f"day {i}: {value:.3f} %, {found.fraud.per_day[i]:,} frauds"
        plot.bar(x(i) + wide * 0.1, y(value), wide * 0.8, y(0) - y(value), FRAUD, tip)
    plot.x_axis(x, _middle(day_ticks(found.start_ms, days, 15)), "day (UTC)")
    return plot.render()


def one_part_by_hour(hours: NDArray[np.int64], what: str, axis: str) -> str:
    """Some transactions by the hour of the day; `what` they are, and which hour it is."""
    share = 100 * hours / max(hours.sum(), 1)
    plot = Plot(
        f"{what} transactions by hour",
        f"Most between {int(share.argmax())} and {int(share.argmax()) + 1} o'clock, {share.max():.1f} %.",
        top=30,
    )
    top = round_up(float(max(share.max(), 1e-9)))
    x, y = plot.x_scale(0, 24), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top, unit=" %"), f"{what}, share by hour")
    for hour, value in enumerate(share):
        tip = f"{hour:02d} h: {value:.1f} %"
        plot.bar(x(hour + 0.1), y(value), x(0.8) - x(0), y(0) - y(value), HONEST, tip)
    plot.x_axis(x, _HOURS, axis)
    return plot.render()


def trades_by_hour(hours: dict[str, NDArray[np.int64]], axis: str) -> str:
    """Each trade's transactions by the hour of the day: when its shops are open."""
    shares = {name: 100 * counts / counts.sum() for name, counts in hours.items()}
    colours = [(name, PALETTE[i]) for i, name in enumerate(shares)]
    plot = Plot(
        "Transactions of some trades by hour",
        "; ".join(f"{name} most at {int(share.argmax())} o'clock" for name, share in shares.items()),
        top=30,
    )
    top = round_up(float(max(share.max() for share in shares.values())))
    x, y = plot.x_scale(0, 24), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top, unit=" %"), "share of each by hour")
    for name, colour in colours:
        plot.line([hour + 0.5 for hour in range(24)], list(shares[name]), x, y, colour)
    plot.legend(colours)
    plot.x_axis(x, _HOURS, axis)
    return plot.render()


def by_hour(found: Aggregates) -> str:
    """Honest transactions and fraud by hour, UTC."""
    shares = {
        name: 100 * part.hours / max(part.number, 1)
        for name, part in (("honest", found.honest), ("fraud", found.fraud))
    }
    top = round_up(float(max(share.max() for share in shares.values())))
    plot = Plot(
        "Transactions by hour, UTC",
        "Share of honest transactions and of frauds in each hour of the day, UTC.",
        top=30,
    )
    x, y = plot.x_scale(0, 24), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top, unit=" %"), "share of each by hour")
    for name, colour in _BOTH:
        plot.line([h + 0.5 for h in range(24)], list(shares[name]), x, y, colour)
    plot.legend(_BOTH)
    plot.x_axis(x, _HOURS, "hour (UTC), cards of every time zone together")
    return plot.render()


def by_weekday(found: Aggregates) -> str:
    """Mean number on each weekday, over the mean of the seven."""
    plot = Plot(
        "Transactions by weekday",
        "Mean number of honest transactions and of frauds on each weekday, relative to the mean day.",
        top=30,
    )
    shown = {}
    for name, part in (("honest", found.honest), ("fraud", found.fraud)):
        mean = np.nanmean(part.weekdays)
        shown[name] = np.nan_to_num(part.weekdays) / (mean or 1.0)
    top = round_up(float(max(value.max() for value in shown.values())))
    x, y = plot.x_scale(0, 7), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top), "relative to the mean day")
    for number, (name, colour) in enumerate(_BOTH):
        for i, value in enumerate(shown[name]):
            left = x(i + 0.14 + 0.36 * number)
            tip = f"{_DAYS[i]}: {value:.2f} times the mean day's {name} transactions"
            plot.bar(left, y(value), x(0.34) - x(0), y(0) - y(value), colour, tip)
    plot.legend(_BOTH)
    plot.x_axis(x, [(i + 0.5, name) for i, name in enumerate(_DAYS)], "weekday (UTC)")
    return plot.render()


def by_month_day(found: Aggregates) -> str:
    """Each day over the mean of its weekday, by the day of the month: what pay days do."""
    total = found.honest.per_day + found.fraud.per_day
    ordinal = found.start_ms // DAY_MS + np.arange(len(total))
    weekday, one = (ordinal + 3) % 7, np.ones(len(total))
    usual = np.bincount(weekday, weights=total) / np.bincount(weekday, weights=one)
    month_day = np.array([datetime.fromtimestamp(86_400 * int(day), UTC).day - 1 for day in ordinal])
    level = np.bincount(month_day, weights=total / usual[weekday]) / np.bincount(month_day, weights=one)
    plot = Plot(
        "Transactions by day of the month",
        f"Relative to the weekday's mean; most on day {int(level.argmax()) + 1}, {level.max():.2f} times.",
        top=30,
    )
    top = round_up(float(level.max()))
    x, y = plot.x_scale(0.5, 31.5), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top), "relative to the mean of the weekday")
    for i, value in enumerate(level):
        tip = f"day {i + 1}: {value:.2f} times the mean of the weekday"
        plot.bar(x(i + 0.6), y(value), x(1.8) - x(1), y(0) - y(value), HONEST, tip)
    plot.x_axis(x, [(day, str(day)) for day in (1, 5, 10, 15, 20, 25, 31)], "day of the month (UTC)")
    return plot.render()


def amounts(found: Aggregates) -> str:
    """Distribution of amounts on a logarithmic scale."""
    seen = np.flatnonzero(found.honest.amounts + found.fraud.amounts)
    first, last = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, len(AMOUNT_EDGES) - 1)
    edges = list(AMOUNT_EDGES[first : last + 1] / 100)
    shares = [100 * part.amounts[first:last] / max(part.number, 1) for part in (found.honest, found.fraud)]
    top = round_up(float(max(share.max() for share in shares)))
    unit = found.currency or "units"
    plot = Plot(
        "Amounts, honest against fraud",
        f"Median {found.honest.median_cents / 100:,.2f} {unit} honest, "
        f"{found.fraud.median_cents / 100:,.2f} {unit} fraud.",
        width=1060,
        height=280,
        top=30,
    )
    x, y = plot.x_scale(edges[0], edges[-1], log=True), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top, unit=" %"), "share of each, by bin")
    for share, (_, colour) in zip(shares, _BOTH, strict=True):
        plot.steps(edges, list(share), x, y, colour)
    plot.legend(_BOTH)
    plot.x_axis(x, log_ticks(edges[0], edges[-1]), f"amount, {unit} (twelve bins a decade)")
    return plot.render()


def typology_shares(typologies: list[TypologyCounts], transactions: int) -> str:
    """Each typology's share of all transactions."""
    row = 24
    labels = max(text_px(_name(t.name)) for t in typologies) + 14
    plot = Plot(
        "Fraud by typology",
        "; ".join(f"{_name(t.name)} {100 * t.frauds / transactions:.4f} %" for t in typologies),
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
        plot.text(labels - 8, y + 16, _name(t.name), anchor="end")
        plot.bar(x(0), y + 4, x(share) - x(0), row - 8, FRAUD)
        told = f"{share:.4f} %, {t.frauds:,} frauds"
        if t.campaigns:
            told += f", {t.campaigns:,} campaign{'s' if t.campaigns != 1 else ''}"
        plot.text(x(share) + 8, y + 16, told, colour=QUIET)
    return plot.render()


def typology_timeline(counts: TypologyCounts, start_ms: int) -> str:
    """Frauds per day of one typology, on a scale of its own."""
    days, top = len(counts.per_day), round_up(float(max(counts.per_day.max(), 1)), 3)
    plot = Plot(
        f"{_name(counts.name)}: frauds per day",
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
    plot.text(2, 14, _name(counts.name), bold=True)
    plot.text(plot.width - plot.right, 14, "frauds a day", anchor="end", colour=QUIET, size=11)
    wide = x(1) - x(0)
    for i, value in enumerate(counts.per_day):
        if value:
            plot.bar(x(i), y(value), wide * 0.9, y(0) - y(value), FRAUD, f"day {i}: {value:,}")
    plot.x_axis(x, _middle(day_ticks(start_ms, days, 4)), "")
    return plot.render()


def campaign(name: str, one: Campaign, currency: str) -> str:
    """Time against amount, one colour a card."""
    unit = currency or "units"
    elapsed = (one.ts - one.ts.min()) / 60_000
    span, ticks = _elapsed_ticks(float(elapsed.max()))
    euros = one.amount_cents / 100
    low, high = _decades(float(euros.min()), float(euros.max()))
    cards = int(one.card.max()) + 1
    plot = Plot(
        f"{_name(name)}: {one.campaign_id}",
        f"{len(one.ts)} transactions of {cards} cards, {euros.min():,.2f} to {euros.max():,.2f} {unit}.",
        width=340,
        height=218,
        left=50,
        right=16,
        top=48,
        bottom=40,
    )
    x, y = plot.x_scale(-0.03 * span, 1.03 * span), plot.y_scale(low, high, log=True)
    plot.text(2, 14, _name(name), bold=True)
    plot.y_axis(y, log_ticks(low, high), f"{unit}")
    for minutes, amount, card in zip(elapsed, euros, one.card, strict=True):
        colour = PALETTE[int(card) % len(PALETTE)]
        tip = f"card {int(card) + 1}: {amount:,.2f} {unit}"
        plot.dot(x(float(minutes)), y(float(amount)), colour, tip)
    plot.x_axis(x, ticks, "since its first transaction")
    return plot.render()


def campaign_caption(one: Campaign) -> str:
    """What the picture of a campaign does not say."""
    cards = int(one.card.max()) + 1
    counts = [
        _many(len(one.ts), "transaction"),
        _many(cards, "card"),
        _many(one.merchants, "merchant"),
        _many(one.devices, "device") if one.devices else "no device seen",
    ]
    return f"{one.campaign_id}: {', '.join(counts)}"


def label_arrivals(found: Aggregates) -> str:
    """Share of frauds known by delay since the transaction, on a logarithmic scale of time."""
    last = {name: 100 * float(curve[-1]) for name, curve in found.arrivals.items()}
    plot = Plot(
        "How fraud comes to be known",
        "; ".join(f"{_SOURCES[name][0]} {share:.0f} % within 120 days" for name, share in last.items()),
        width=1060,
        height=300,
        right=120,
        top=30,
    )
    x, y = plot.x_scale(float(DELAY_DAYS[0]), float(DELAY_DAYS[-1]), log=True), plot.y_scale(0, 100)
    plot.y_axis(y, linear_ticks(0, 100, unit=" %"), "share of frauds that have a fraud label")
    taken: list[float] = []
    for name in sorted(last, key=lambda key: -last[key]):
        title, colour = _SOURCES[name]
        plot.line(list(DELAY_DAYS), list(100 * found.arrivals[name]), x, y, colour)
        # A label under the one above it, where the curves end together.
        place = y(last[name]) + 4
        if taken and place < taken[-1] + 15:
            place = taken[-1] + 15
        taken.append(place)
        plot.text(x(float(DELAY_DAYS[-1])) + 6, place, f"{title} {last[name]:.0f} %", colour=colour)
    ticks = [(1 / 24, "1 h"), (0.25, "6 h"), (1, "1 day"), (3, "3 days"), (7, "7 days"), (14, "14 days")]
    ticks += [(30, "30 days"), (60, "60 days"), (120, "120 days")]
    plot.x_axis(x, ticks, "since the transaction (logarithmic)", lines=True)
    return plot.render()


def _middle(ticks: list[Tick]) -> list[Tick]:
    """Under the middle of a bar of width 1."""
    return [(value + 0.5, label) for value, label in ticks]


def _name(typology: str) -> str:
    return typology.replace("_", " ")


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def _elapsed_ticks(minutes: float) -> tuple[float, list[Tick]]:
    """A span not shorter than `minutes`, and ticks in minutes, hours or days, whichever reads best."""
    per_unit, name = next((size, unit) for size, unit, most in _UNITS if minutes <= most)
    span = max(minutes, per_unit)
    step = max(nice_step(span / per_unit, 5), 1)
    count = int(span / per_unit / step + 1e-9)
    return span, [(i * step * per_unit, f"{i * step:g} {name}") for i in range(count + 1)]


def _decades(low: float, high: float) -> tuple[float, float]:
    """A little room on both sides, and at least a factor of ten."""
    low, high = low / 1.3, high * 1.3
    if high / low < 10:
        middle = (low * high) ** 0.5
        low, high = middle / 10**0.5, middle * 10**0.5
    return low, high
