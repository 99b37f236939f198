"""Bounds on a load: rate, time, number of requests, connections."""

import math
from typing import Final

from fraudsim.errors import FraudsimError

MAX_RATE: Final = 50_000.0
MAX_SECONDS: Final = 21_600.0
MAX_REQUESTS: Final = 20_000_000
MAX_CONNECTIONS: Final = 2_000
"""Of one worker. As many as the scorer's HTTP server serves."""


def check_rate(rate: float, name: str = "--rate") -> float:
    """A rate in requests a second.

    Raises:
        FraudsimError: it is not above 0, or over the bound.
    """
    if not (math.isfinite(rate) and 0 < rate <= MAX_RATE):
        raise FraudsimError(f"{name} {rate:g} must be above 0 and at most {MAX_RATE:,.0f} requests a second")
    return rate


def check_seconds(seconds: float, rate: float, name: str = "--seconds") -> float:
    """The length of a load.

    Raises:
        FraudsimError: it is not above 0, over the bound, or too long for the rate.
    """
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
        raise FraudsimError(f"{name} {seconds:g} must be above 0 and at most {MAX_SECONDS:,.0f} s")
    if rate * seconds > MAX_REQUESTS:
        raise FraudsimError(
            f"{name} {seconds:g} at {rate:g}/s are {rate * seconds:,.0f} requests, over {MAX_REQUESTS:,}: "
            "lower one of them"
        )
    return seconds


def check_connections(connections: int, name: str = "--connections") -> int:
    """The number of connections of a worker.

    Raises:
        FraudsimError: it is out of bounds.
    """
    if not 0 < connections <= MAX_CONNECTIONS:
        raise FraudsimError(f"{name} {connections} must be from 1 to {MAX_CONNECTIONS:,}")
    return connections


def default_connections(rate: float) -> int:
    """What is in flight while a target stands still for a second, from 64 to 1,000."""
    return int(min(1_000, max(64, rate)))
