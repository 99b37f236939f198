"""Where the clocks disagree, and the requests that make the difference. Pure.

A request makes the difference at a quantile if it is slower than that quantile's latency from the send when
it counts from its intended time, and is not when it counts from its send: what it waited before the send,
which a tool that waits leaves out, is what it is slow by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fraudsim.arrays import Ints
from load_tests.load.clocks.histograms import LatencyHistogram
from load_tests.load.clocks.lateness import Lateness
from load_tests.load.clocks.records import Records

SPANS: Final = 20
"""Most spans that are listed: those of the most requests."""
JOINED_US: Final = 100_000
"""Requests that were due within this of each other are one span."""


@dataclass(frozen=True)
class GapSpan:
    """Requests due one after another that make the difference."""

    from_s: float
    """When the first was due, after the first of the run."""
    until_s: float
    first_number: int
    last_number: int
    requests: int
    blocked: int
    late: int
    worst_wait_ms: float
    """The longest time from intended to sent."""

    @property
    def reason(self) -> str:
        """What kept them, in words."""
        words = [f"no sender was free ({self.blocked:,})"] if self.blocked else []
        words += [f"the generator was late ({self.late:,})"] if self.late else []
        return ", ".join(words) or "connecting"


@dataclass(frozen=True)
class ClockGap:
    """The quantile at which the clocks differ most, and what makes them differ there."""

    quantile: str
    intended_ms: float
    sent_ms: float
    requests: int
    numbers: Sequence[int]
    """Of all of them, in the order of their intended times."""
    spans: Sequence[GapSpan]
    """Of the most requests, in order of time."""

    def as_json(self) -> dict[str, Any]:
        """For `result.json`."""
        return {
            "quantile": self.quantile,
            "from_intended_ms": self.intended_ms,
            "from_sent_ms": self.sent_ms,
            "requests": self.requests,
            "numbers": list(self.numbers),
            "spans": [
                {
                    "from_s": round(span.from_s, 3), "until_s": round(span.until_s, 3),
                    "first": span.first_number, "last": span.last_number, "requests": span.requests,
                    "blocked": span.blocked, "late": span.late,
                    "worst_wait_ms": round(span.worst_wait_ms, 3),
                }
                for span in self.spans
            ],
        }  # fmt: skip


def clock_gap(records: Records, lateness: Lateness, quantiles: Mapping[str, float]) -> ClockGap | None:
    """The gap at that of some quantiles where it is widest; None without good answers or quantiles.

    Args:
        quantiles: by name, those that may be believed.
    """
    good = np.flatnonzero(records["good"] == 1)
    if not len(good) or not quantiles:
        return None
    own = records[good]
    from_intended, from_sent = own["completed_us"] - own["intended_us"], own["completed_us"] - own["sent_us"]
    intended, sent = LatencyHistogram.of(from_intended), LatencyHistogram.of(from_sent)
    at = {name: (intended.quantile_ms(q) or 0.0, sent.quantile_ms(q) or 0.0) for name, q in quantiles.items()}
    name = max(at, key=lambda key: at[key][0] - at[key][1])
    intended_ms, sent_ms = at[name]
    limit_us = 1000 * sent_ms
    making = good[(from_intended > limit_us) & (from_sent <= limit_us)]
    making = making[np.argsort(records["intended_us"][making], kind="stable")]
    spans = [_span(records, lateness, part) for part in _joined(records["intended_us"][making], making)]
    longest = sorted(spans, key=lambda span: -span.requests)[:SPANS]
    return ClockGap(
        quantile=name,
        intended_ms=intended_ms,
        sent_ms=sent_ms,
        requests=len(making),
        numbers=records["number"][making].tolist(),
        spans=sorted(longest, key=lambda span: span.from_s),
    )


def _joined(intended_us: Ints, making: Ints) -> list[Ints]:
    """The requests in spans; empty without any."""
    if not len(making):
        return []
    return np.split(making, np.flatnonzero(np.diff(intended_us) > JOINED_US) + 1)


def _span(records: Records, lateness: Lateness, part: Ints) -> GapSpan:
    own, start_us = records[part], int(records["intended_us"].min())
    return GapSpan(
        from_s=(int(own["intended_us"].min()) - start_us) / 1e6,
        until_s=(int(own["intended_us"].max()) - start_us) / 1e6,
        first_number=int(own["number"][0]),
        last_number=int(own["number"][-1]),
        requests=len(part),
        blocked=int(lateness.blocked[part].sum()),
        late=int(lateness.late[part].sum()),
        worst_wait_ms=int((own["sent_us"] - own["intended_us"]).max()) / 1000,
    )
