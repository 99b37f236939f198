"""Plots of when transactions happen, one function each: counts in, SVG out."""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from fraudsim.arrays import Ints
from fraudsim.drawing.plot import Plot
from fraudsim.drawing.scales import Tick, linear_ticks, round_up
from fraudsim.drawing.themes import FRAUD, HONEST, INK, PALETTE
from producers.page.aggregates import Aggregates
from producers.population.columns import DAY_MS

CLASS_COLOURS: Final = [("honest", HONEST), ("fraud", FRAUD)]
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS: Final[list[Tick]] = [(h, f"{h:02d}") for h in range(0, 25, 3)]
LONG_DAYS: Final = 60
"""Days of a history above which weekly means and days of the month are drawn too."""


def day_ticks(start_ms: int, days: int, most: int = 7) -> list[Tick]:
    """At most `most` dates, placed by days since the start."""
    step = next((s for s in (1, 2, 7, 14, 28, 56, 91, 182, 365, 730) if days / s <= most), days)
    first = datetime.fromtimestamp(start_ms / 1000, UTC)
    dates = [(i, first + timedelta(days=i)) for i in range(0, days, step)]
    return [(i, f"{date.day} {date:%b}") for i, date in dates]


def centre_ticks(ticks: list[Tick]) -> list[Tick]:
    """Ticks moved to the middle of bars of width 1."""
    return [(value + 0.5, label) for value, label in ticks]


def draw_daily_transactions(aggregates: Aggregates) -> str:
    """Transactions per day; in a long history also their mean over seven days."""
    total = aggregates.honest.per_day + aggregates.fraud.per_day
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
    bar_width = x(1) - x(0)
    for i, value in enumerate(total):
        tip = f"day {i}: {value:,} transactions, {aggregates.fraud.per_day[i]:,} frauds"
        plot.bar(x(i) + bar_width * 0.1, y(value), bar_width * 0.8, y(0) - y(value), HONEST, tip)
    if days > LONG_DAYS:
        weekly = np.convolve(total, np.full(7, 1 / 7), mode="valid")
        plot.line([i + 3.5 for i in range(len(weekly))], list(weekly), x, y, INK)
        plot.legend([("each day", HONEST), ("mean of seven days", INK)])
    plot.x_axis(x, centre_ticks(day_ticks(aggregates.start_ms, days, 15)), "day (UTC)")
    return plot.render()


def draw_daily_fraud(aggregates: Aggregates) -> str:
    """Fraud as a share of each day's transactions."""
    share = (
        100 * aggregates.fraud.per_day / np.maximum(aggregates.honest.per_day + aggregates.fraud.per_day, 1)
    )
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
    bar_width = x(1) - x(0)
    for i, value in enumerate(share):
        tip = f"day {i}: {value:.3f} %, {aggregates.fraud.per_day[i]:,} frauds"
        plot.bar(x(i) + bar_width * 0.1, y(value), bar_width * 0.8, y(0) - y(value), FRAUD, tip)
    plot.x_axis(x, centre_ticks(day_ticks(aggregates.start_ms, days, 15)), "day (UTC)")
    return plot.render()


def draw_hours(hours: Ints, what: str, axis: str) -> str:
    """Transactions by the hour of the day; `what` names them and `axis` the clock."""
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


def draw_trade_hours(hours: dict[str, Ints], axis: str) -> str:
    """Transactions of each trade by the hour of the day, which shows its opening hours."""
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


def draw_class_hours(aggregates: Aggregates) -> str:
    """Honest transactions and fraud by hour, UTC."""
    shares = {
        name: 100 * counts.hours / max(counts.number, 1)
        for name, counts in (("honest", aggregates.honest), ("fraud", aggregates.fraud))
    }
    top = round_up(float(max(share.max() for share in shares.values())))
    plot = Plot(
        "Transactions by hour, UTC",
        "Share of honest transactions and of frauds in each hour of the day, UTC.",
        top=30,
    )
    x, y = plot.x_scale(0, 24), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top, unit=" %"), "share of each by hour")
    for name, colour in CLASS_COLOURS:
        plot.line([h + 0.5 for h in range(24)], list(shares[name]), x, y, colour)
    plot.legend(CLASS_COLOURS)
    plot.x_axis(x, _HOURS, "hour (UTC), cards of every time zone together")
    return plot.render()


def draw_weekdays(aggregates: Aggregates) -> str:
    """Mean number of transactions on each weekday, relative to the mean of the seven."""
    plot = Plot(
        "Transactions by weekday",
        "Mean number of honest transactions and of frauds on each weekday, relative to the mean day.",
        top=30,
    )
    relative = {}
    for name, counts in (("honest", aggregates.honest), ("fraud", aggregates.fraud)):
        mean = np.nanmean(counts.weekdays)
        relative[name] = np.nan_to_num(counts.weekdays) / (mean or 1.0)
    top = round_up(float(max(value.max() for value in relative.values())))
    x, y = plot.x_scale(0, 7), plot.y_scale(0, top)
    plot.y_axis(y, linear_ticks(0, top), "relative to the mean day")
    for number, (name, colour) in enumerate(CLASS_COLOURS):
        for i, value in enumerate(relative[name]):
            left = x(i + 0.14 + 0.36 * number)
            tip = f"{_DAYS[i]}: {value:.2f} times the mean day's {name} transactions"
            plot.bar(left, y(value), x(0.34) - x(0), y(0) - y(value), colour, tip)
    plot.legend(CLASS_COLOURS)
    plot.x_axis(x, [(i + 0.5, name) for i, name in enumerate(_DAYS)], "weekday (UTC)")
    return plot.render()


def draw_month_days(aggregates: Aggregates) -> str:
    """Each day relative to the mean of its weekday, by the day of the month: the effect of pay days."""
    total = aggregates.honest.per_day + aggregates.fraud.per_day
    ordinal = aggregates.start_ms // DAY_MS + np.arange(len(total))
    weekday, day_weights = (ordinal + 3) % 7, np.ones(len(total))
    weekday_mean = np.bincount(weekday, weights=total) / np.bincount(weekday, weights=day_weights)
    month_day = np.array([datetime.fromtimestamp(86_400 * int(day), UTC).day - 1 for day in ordinal])
    level = np.bincount(month_day, weights=total / weekday_mean[weekday]) / np.bincount(
        month_day, weights=day_weights
    )
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
