"""Latencies as HDR histograms in µs, three significant digits; what is over their top is counted."""

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from hdrh.histogram import HdrHistogram

from fraudsim.arrays import Doubles, Ints

TOP_US: Final = 3_600_000_000
DIGITS: Final = 3
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


@dataclass(frozen=True)
class LatencyHistogram:
    """The latencies of the requests that were answered well."""

    histogram: HdrHistogram
    over_top: int
    """Latencies above `TOP_US`; they count as `TOP_US`."""
    max_us: int

    @classmethod
    def of(cls, latencies_us: Ints) -> "LatencyHistogram":
        """Count latencies; a negative one, from clocks that differ, counts as 0."""
        histogram = HdrHistogram(1, TOP_US, DIGITS)
        values, counts = np.unique(np.clip(latencies_us, 0, TOP_US), return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            histogram.record_value(value, count)
        over_top = int((latencies_us > TOP_US).sum())
        return cls(histogram, over_top, int(latencies_us.max()) if len(latencies_us) else 0)

    @property
    def count(self) -> int:
        return int(self.histogram.get_total_count())

    def quantile_ms(self, q: float) -> float | None:
        """The latency that a share `q` did not exceed; None without latencies."""
        if not self.count:
            return None
        return round(
            min(float(self.histogram.get_value_at_percentile(100 * q)), float(self.max_us)) / 1000, 3
        )

    def figures_ms(self) -> dict[str, float | None]:
        """p50, p90, p99, p999 and max; None for all without latencies."""
        by_name = {name: self.quantile_ms(q) for name, q in QUANTILES.items()}
        return {**by_name, "max": round(self.max_us / 1000, 3) if self.count else None}

    def curve(self, points: int = 200) -> tuple[Doubles, Doubles]:
        """Quantiles, evenly spaced in log(1 − q), and their latencies in ms."""
        if not self.count:
            return np.zeros(0), np.zeros(0)
        tail = np.logspace(0, -np.log10(max(self.count, 10)), points)
        latencies = [self.quantile_ms(1 - share) or 0.0 for share in tail]
        return 1 - tail, np.asarray(latencies)

    def hgrm(self) -> str:
        """The percentile distribution in HdrHistogram's text format, in ms."""
        text = io.BytesIO()
        self.histogram.output_percentile_distribution(text, 1000.0)
        return text.getvalue().decode()
