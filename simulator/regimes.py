"""Regimes: how fresh features are and when a decision acts, as data. Pure.

A regime says, for each decision, up to which event time its features have seen transactions and labels
(`seen_to`), and where its windows end.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from fraudsim.arrays import Ints
from fraudsim.errors import FraudsimError
from stream_features.catalogue.features import DAY, HOUR, MINUTE, SECOND

Windows = Literal["sliding", "hopping", "tumbling"]
"""Windows end at the decision; or at the last job; or they begin at the last multiple of their length."""
Features = Literal["all", "request", "none"]
"""What a decision looks at: windows and the request; the request alone; nothing."""
Acts = Literal["at once", "by job", "by card"]
"""A score decides its own transaction; or a job scores later, and blocks the card; or a job scores, and the
card's highest score decides its transactions until the next job."""
LONGEST_MS: Final = 30 * DAY
"""The longest staleness that a regime may have."""


@dataclass(frozen=True)
class Regime:
    """How a line keeps its features.

    Raises:
        FraudsimError: a time is out of its range.
    """

    name: str
    summary: str
    delay_ms: int = 0
    """How late a pipeline is; of a job, how long it takes."""
    period_ms: int = 0
    """Time between two starts of the job, counted from 1970-01-01 UTC; 0 where there is no job."""
    windows: Windows = "sliding"
    features: Features = "all"
    acts: Acts = "at once"
    live_up_to_ms: int = 0
    """Features of windows up to this length are live whatever the job does; 0: none."""

    def __post_init__(self) -> None:
        for option, value in (("--period", self.period_ms), ("--duration", self.delay_ms)):
            if not 0 <= value <= LONGEST_MS:
                raise FraudsimError(f"{option} {span(value)} must be between 0 and {span(LONGEST_MS)}")

    def seen_to(self, ts: Ints) -> Ints:
        """Event time before which events are in the features of decisions at `ts`, ms, shape (n,)."""
        finished = ts - self.delay_ms
        return finished // self.period_ms * self.period_ms if self.period_ms else finished

    @property
    def longest_staleness_ms(self) -> int:
        """The oldest that the state of a decision can be."""
        return self.delay_ms + self.period_ms

    @property
    def mean_staleness_ms(self) -> float:
        """The mean age of the state of a decision."""
        return self.delay_ms + self.period_ms / 2

    @property
    def not_in_a_prefix(self) -> str:
        """Why a decision's features are not those of one prefix of the log; empty where they are."""
        if self.acts == "by job":
            return "nothing is scored when it is decided"
        if self.acts == "by card":
            return "a decision takes the score of earlier transactions of its card"
        if self.features != "all":
            return (
                f"its decisions look at {'the request alone' if self.features == 'request' else 'no feature'}"
            )
        if self.windows == "hopping":
            return "its windows end at the last job, not at the decision"
        if self.windows == "tumbling":
            return "its windows begin at multiples of their length"
        if self.live_up_to_ms:
            return "its long windows are of an older prefix than its short ones"
        return ""


_PRESETS: Final = (
    Regime("real-time", "every event before the decision"),
    Regime("delayed", "a pipeline's constant delay", delay_ms=5 * MINUTE),
    Regime("micro-batch", "state as of the last finished job", period_ms=HOUR, delay_ms=5 * MINUTE),
    Regime("nightly", "state as of the last finished nightly job", period_ms=DAY, delay_ms=2 * HOUR),
    Regime(
        "hybrid", "windows up to a day live, longer ones from a nightly job", period_ms=DAY,
        delay_ms=2 * HOUR, live_up_to_ms=DAY,
    ),
    Regime("hopping", "values computed at the last hop", period_ms=5 * MINUTE, windows="hopping"),
    Regime("tumbling", "windows that begin at multiples of their length", windows="tumbling"),
    Regime("request-only", "the transaction alone, by the fallback model", features="request"),
    Regime("blocklist", "no model: only the blocks of cards", features="none"),
    Regime(
        "score-later", "approve, score by a job, then block the card", period_ms=HOUR, delay_ms=5 * MINUTE,
        acts="by job",
    ),
    Regime(
        "card-risk", "each card's highest score of the day before the job", period_ms=DAY,
        delay_ms=2 * HOUR, acts="by card",
    ),
)  # fmt: skip
REGIMES: Final = {regime.name: regime for regime in _PRESETS}


def regime_of(name: str, period_ms: int | None = None, duration_ms: int | None = None) -> Regime:
    """The regime of a name, with another period, or another delay or duration of its job.

    Raises:
        FraudsimError: there is no such regime, or it has no such time; the message names what there is.
    """
    regime = REGIMES.get(name)
    if regime is None:
        raise FraudsimError(f"--regime {name} is not known, take one of {', '.join(REGIMES)}")
    if period_ms is not None:
        if not regime.period_ms:
            raise FraudsimError(f"--period {span(period_ms)}: regime {name} has no job; leave it out")
        if period_ms < SECOND:
            raise FraudsimError(f"--period {span(period_ms)} must be 1s or more")
        regime = replace(regime, period_ms=period_ms)
    if duration_ms is not None:
        if not (regime.period_ms or regime.delay_ms):
            raise FraudsimError(f"--duration {span(duration_ms)}: regime {name} has no delay; leave it out")
        regime = replace(regime, delay_ms=duration_ms)
    return regime


_UNITS: Final = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
_SPAN: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")


def span(ms: int) -> str:
    """A time as `span_ms` reads it.

    >>> span(5_400_000)
    '90m'
    """
    unit, size = next(
        ((unit, size) for unit, size in reversed(_UNITS.items()) if ms % size == 0 and ms), ("ms", 1)
    )
    return f"{ms // size}{unit}"


def span_ms(text: str, option: str) -> int:
    """A time of an option, such as `90m`, in ms.

    >>> span_ms("90m", "--period")
    5400000

    Raises:
        FraudsimError: it is not a number with a unit.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise FraudsimError(
            f"{option} {text!r} is no time: write a number with ms, s, m, h or d, as 5m or 1h"
        )
    return int(match[1]) * _UNITS[match[2]]


def spread_ms(regime: Regime, parts: int) -> list[int]:
    """Constant delays that together have the staleness of a job's regime: the middles of equal parts."""
    steps = (np.arange(parts) + 0.5) * regime.period_ms / parts
    return [int(step) + regime.delay_ms for step in steps]
