"""The house's histogram says what prometheus-client's own would say."""

import re
import threading

import prometheus_client
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from fraudsim.histogram import Histogram

EDGES = (0.001, 0.05, 1.0, 5)


def said(registry):
    """The exposition, without the times of creation."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if "_created" not in line]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(EDGES) | st.floats(0, 10))))
def test_it_tells_prometheus_what_the_library_s_own_would(observations):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("seconds", "How long", ["way"], buckets=EDGES, registry=ours)
    other = prometheus_client.Histogram("seconds", "How long", ["way"], buckets=EDGES, registry=theirs)
    for way, value in observations:
        mine.labels(way).observe(value)
        other.labels(way).observe(value)
    assert said(ours) == said(theirs)


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
