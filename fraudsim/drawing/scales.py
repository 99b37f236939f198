"""Scales that map values to positions, and the ticks of their axes."""

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Protocol

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

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high:
            raise ValueError(f"logarithmic scale from {self.low:g} to {self.high:g}: needs 0 < low <= high")

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
    """Powers of ten from `low` to `high`; if these are few, also multiples in between.

    A span within which no multiple lies has the ticks of a linear axis.
    """
    powers = range(floor(log10(low) + 1e-9), ceil(log10(high) - 1e-9) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        values = [f * 10.0**p for p in powers for f in factors]
        inside = [v for v in values if low * 0.999 <= v <= high * 1.001]
        if len(inside) >= 3:
            break
    if len(inside) < 2 and high > low:
        return linear_ticks(low, high)
    return [(v, f"{v:,.0f}" if v >= 1 else f"{v:g}") for v in inside]
