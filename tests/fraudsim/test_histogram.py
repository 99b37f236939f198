"""The histogram exposes what prometheus-client's own would expose."""

import re
import threading

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from fraudsim.histogram import Histogram

EDGES = (0.001, 0.05, 1.0, 5)


def exposition(registry):
    """The exposition without creation times."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(EDGES) | st.floats(0, 10))))
def test_it_exposes_what_the_library_s_own_would(observations):
    our_registry, library_registry = CollectorRegistry(), CollectorRegistry()
    our_histogram = Histogram("seconds", "How long", ["way"], buckets=EDGES, registry=our_registry)
    library_histogram = prometheus_client.Histogram(
        "seconds", "How long", ["way"], buckets=EDGES, registry=library_registry
    )
    for way, value in observations:
        our_histogram.labels(way).observe(value)
        library_histogram.labels(way).observe(value)
    assert exposition(our_registry) == exposition(library_registry)


def test_without_labels_it_is_there_from_the_start():
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "How long", buckets=EDGES, registry=registry)
    assert registry.get_sample_value("seconds_count") == 0
    histogram.observe(0.05)
    assert registry.get_sample_value("seconds_bucket", {"le": "0.05"}) == 1
    assert registry.get_sample_value("seconds_bucket", {"le": "0.001"}) == 0
    assert registry.get_sample_value("seconds_sum") == 0.05


def test_wrong_labels_and_a_name_taken_are_refused():
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "How long", ["way"], buckets=EDGES, registry=registry)
    with pytest.raises(ValueError, match=re.escape("seconds has the labels way: ('a', 'b')")):
        histogram.labels("a", "b")
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Histogram("seconds", "How long", buckets=EDGES, registry=registry)


def test_it_is_read_while_it_is_written():
    registry = CollectorRegistry()
    histogram = Histogram("seconds", "How long", ["way"], buckets=EDGES, registry=registry)
    done = threading.Event()

    def write():
        for n in range(20_000):
            histogram.labels(str(n % 50)).observe(n % 7)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        generate_latest(registry)
    writer.join()
    counts = [registry.get_sample_value("seconds_count", {"way": str(way)}) for way in range(50)]
    assert counts == [400] * 50
