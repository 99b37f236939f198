"""A Prometheus histogram for hot paths: an observation is a bisection and two additions.

prometheus-client's own walks its buckets and takes two locks, some 2 µs an observation, of which a decision
makes nine. Here one thread observes, and the thread that serves the metrics only reads: what it reads may
be one observation short, never wrong for good.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Series:
    """The observations under one set of labels."""

    __slots__ = ("_edges", "counts", "total")

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = edges
        self.counts = [0] * (len(edges) + 1)
        """By bucket, not cumulative; the last is for what lies above every edge."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value; one on an edge belongs to the bucket below it."""
        self.counts[bisect_left(self._edges, value)] += 1
        self.total += value


class Histogram(Collector):
    """Series by their labels; registers itself."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        """`buckets` are the upper edges, ascending; one without an upper edge is added."""
        self._name, self._documentation, self._labels = name, documentation, labels
        self._edges = tuple(map(float, buckets))
        self._series: dict[tuple[str, ...], Series] = {}
        if not labels:
            self.observe = self.labels().observe
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """The series of these label values, made on first use."""
        found = self._series.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {', '.join(self._labels) or 'none'}: {values}")
            found = self._series[values] = Series(self._edges)
        return found

    def describe(self) -> Sequence[HistogramMetricFamily]:
        """What is known beforehand: the registry refuses a name that is taken."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """What Prometheus is told."""
        (family,) = self.describe()
        names = [*map(str, self._edges), "+Inf"]
        for values, series in list(self._series.items()):
            buckets = [*zip(names, accumulate(series.counts), strict=True)]
            family.add_metric(values, buckets, series.total)
        yield family
