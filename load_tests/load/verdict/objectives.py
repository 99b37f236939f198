"""Objectives: a latency that a quantile must not exceed, and a share of errors."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fraudsim.errors import FraudsimError
from load_tests.load.clocks.histograms import QUANTILES

_UNITS_MS: Final = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
SHOWN_NAMES: Final = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9"}


@dataclass(frozen=True)
class Objectives:
    """What a run is to meet; without any, it is only measured."""

    latency_ms: Mapping[str, float] = field(default_factory=dict)
    """By name of the quantile, from the intended send."""
    errors: float | None = None
    """Largest share of requests without a good answer."""

    def __bool__(self) -> bool:
        return bool(self.latency_ms) or self.errors is not None

    @property
    def tightest_ms(self) -> float | None:
        """The smallest latency asked for: the generator's own error must be small against it."""
        return min(self.latency_ms.values(), default=None)

    @property
    def highest_quantile(self) -> float | None:
        return max((QUANTILES[name] for name in self.latency_ms), default=None)

    def as_json(self) -> dict[str, float]:
        """The objectives as a report keeps them."""
        limits = {f"{name}_ms": limit for name, limit in self.latency_ms.items()}
        return limits | ({"errors": self.errors} if self.errors is not None else {})


def parse_latency(option: str, text: str) -> float:
    """A latency in ms, from `50ms`, `0.05s` or `50`.

    Raises:
        FraudsimError: it has no number, or is not above 0.
    """
    match = re.fullmatch(r"\s*([0-9.eE+-]*)\s*([a-zµ]*)\s*", text)
    try:
        if match is None or match[2] not in _UNITS_MS:
            raise ValueError(text)
        latency_ms = float(match[1]) * _UNITS_MS[match[2]]
    except ValueError:
        raise FraudsimError(f"{option} {text}: an objective takes a number, such as {option} 50ms") from None
    if not (math.isfinite(latency_ms) and latency_ms > 0):
        raise FraudsimError(f"{option} {text}: an objective takes a number above 0, such as {option} 50ms")
    return latency_ms


def parse_share(option: str, text: str) -> float:
    """A share, from `0.1%` or `0.001`.

    Raises:
        FraudsimError: it has no number, or is not from 0 to 1.
    """
    try:
        share = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        raise FraudsimError(f"{option} {text}: an objective takes a number, such as {option} 0.1%") from None
    if not 0 <= share < 1:
        raise FraudsimError(f"{option} {text}: a share is from 0 to below 1, such as {option} 0.1%")
    return share
