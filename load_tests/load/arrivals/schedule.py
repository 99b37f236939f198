"""The schedule: every request's intended time, from a shape, a rate, a length and a seed. Pure."""

from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Ints
from load_tests.load.arrivals.shapes import STEP_S, Shape

MARGIN: Final = 6.0
"""Standard deviations by which more exponential gaps are drawn than will be needed."""


def schedule_us(shape: Shape, rate: float, seconds: float, seed: int) -> Ints:
    """Intended times, µs since the start, ascending, all before `seconds`.

    `rate` is the rate at multiple 1. A Poisson process of changing rate is a unit process seen through the
    integral of the rate (Çinlar's inversion; Lewis and Shedler 1979).
    """
    if shape.name == "constant":
        count = max(1, round(rate * seconds))
        return np.floor(np.arange(count) * 1e6 / rate).astype(np.int64)
    if shape.name == "recorded":
        assert shape.folder is not None
        from load_tests.load.arrivals.recorded import recorded_gaps

        return _repeat_gaps(recorded_gaps(shape.folder), rate, seconds)
    grid_s = np.linspace(0.0, seconds, max(2, int(seconds / STEP_S) + 1))
    middles_s = (grid_s[1:] + grid_s[:-1]) / 2
    increments = rate * shape.multiple_at(middles_s, seconds) * np.diff(grid_s)
    expected = np.concatenate([[0.0], np.cumsum(increments)])
    units = _unit_process(float(expected[-1]), seed)
    return np.floor(np.interp(units, expected, grid_s) * 1e6).astype(np.int64)


def share_numbers(count: int, index: int, workers: int) -> Ints:
    """The numbers of the requests that one of several workers sends: every `workers`-th.

    >>> share_numbers(5, 1, 2).tolist()
    [1, 3]
    """
    return np.arange(index, count, workers, dtype=np.int64)


def _unit_process(length: float, seed: int) -> Doubles:
    """The times of a Poisson process of rate 1 on [0, length)."""
    rng = np.random.default_rng(seed)
    count = int(length + MARGIN * np.sqrt(length) + 20)
    times = np.cumsum(rng.exponential(1.0, count))
    return times[times < length]


def _repeat_gaps(gaps_s: Doubles, rate: float, seconds: float) -> Ints:
    """Times whose gaps follow a recording at a mean rate; the recording starts over at its end."""
    scaled_s = gaps_s / (gaps_s.mean() * rate)
    rounds = int(np.ceil(seconds / scaled_s.sum())) + 1
    times_s = np.cumsum(np.tile(scaled_s, rounds))
    return np.floor(times_s[times_s < seconds] * 1e6).astype(np.int64)
