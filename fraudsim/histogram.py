"""A Prometheus histogram for hot paths: an observation is a bisection and two additions.

The histogram of prometheus-client searches its buckets one by one and takes two locks, some 2 µs an
observation; a decision makes nine observations. Here one thread observes, and the thread that serves the
metrics only reads: a reading may miss the latest observation, which the next reading has.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Series:
    """The observations under one set of label values."""

    __slots__ = ("_edges", "counts", "total")

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self.counts = [0] * (len(edges) + 1)
        """By bucket, not cumulative; the last bucket is for values above every edge."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value; a value on an edge belongs to the bucket below the edge."""
        self.counts[bisect_left(self._edges, value)] += 1
        self.total += value


class Histogram(Collector):
    """Series by label values. Registers itself."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        """`buckets` are the upper edges, ascending; a bucket without an upper edge is added."""
        self._name, self._documentation, self._labels = name, documentation, labels
        self._edges = tuple(map(float, buckets))
        self._series: dict[tuple[str, ...], Series] = {}
        if not labels:
            self.observe = self.labels().observe
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series of these label values, made on first use."""
        series = self._series.get(values)
        if series is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {', '.join(self._labels) or 'none'}: {values}")
            series = self._series[values] = Series(self._edges)
        return series

    def describe(self) -> Sequence[HistogramMetricFamily]:
        """The metric without samples, so that the registry can refuse a name that is already registered."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        (family,) = self.describe()
        names = [*map(str, self._edges), "+Inf"]
        for values, series in list(self._series.items()):
            buckets = [*zip(names, accumulate(series.counts), strict=True)]
            family.add_metric(values, buckets, series.total)
        yield family
