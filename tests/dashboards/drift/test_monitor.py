"""The population stability index, with drift and without."""

import math

import numpy as np
import pytest

from dashboards.drift.monitor import DriftMonitor
from dashboards.drift.stability_index import Bins, chi_squared_limit, psi


def test_equal_shares_have_none():
    assert psi(np.array([500, 300, 200]), np.array([500, 300, 200])).value == 0


def test_a_known_case():
    """By hand, from shares that half a count does not move: 0.1 · ln 1.5 + (-0.1) · ln (2 / 3)."""
    index = psi(np.array([200_000, 300_000, 500_000]), np.array([300_000, 200_000, 500_000]))
    assert index.value == pytest.approx(0.2 * math.log(1.5), rel=1e-4)


@pytest.mark.parametrize(("degrees", "exact"), [(1, 10.828), (5, 20.515), (10, 29.588), (20, 45.315)])
def test_the_percentile_is_near_the_tables(degrees, exact):
    assert chi_squared_limit(degrees) == pytest.approx(exact, rel=0.04)


@pytest.mark.parametrize(("n", "m"), [(500, 500), (5_000, 500), (5_000, 5_000)])
def test_without_drift_it_is_what_chance_comes_to_and_seldom_beyond_the_limit(n, m):
    rng = np.random.default_rng(1)
    indices, bins = [], 10
    for _ in range(400):
        reference = Bins(rng.lognormal(size=n))
        indices.append(psi(reference.reference, reference.counts(rng.lognormal(size=m))))
    expected = (1 / n + 1 / m) * (bins - 1)
    assert np.mean([index.value for index in indices]) == pytest.approx(expected, rel=0.1)
    assert sum(index.value > index.limit for index in indices) <= 4, "0.4 of 400 are to be expected"


def rows(rng, count, shift=0.0, unknown=0.1):
    values = rng.normal(shift, 1, count)
    return [(1.0, None if rng.random() < unknown else value, float(rng.poisson(2))) for value in values]


@pytest.mark.parametrize("change", [{"shift": 0.5}, {"unknown": 0.3}])
def test_it_names_what_drifts_and_only_that(change):
    rng = np.random.default_rng(2)
    drift = DriftMonitor(("constant", "value", "count"), 2_000)
    drift.add(rows(rng, 2_000))
    assert drift.indices() == {}
    drift.add(rows(rng, 1_000, **change))
    indices = drift.indices()
    assert [name for name, index in indices.items() if index.value > index.limit] == ["value"]
    assert indices["constant"] == (0, 0)


def test_the_window_is_of_the_last_rows():
    rng = np.random.default_rng(3)
    drift = DriftMonitor(("constant", "value", "count"), 1_000)
    for shift in (0.0, 3.0, 0.0):
        drift.add(rows(rng, 1_000, shift))
    index = drift.indices()["value"]
    assert index.value < index.limit, "what came and went is forgotten"


def test_a_value_that_was_never_seen_and_one_never_known_are_drift_too():
    drift = DriftMonitor(("code", "unknown"), 500)
    drift.add([(4.0, None)] * 500)
    drift.add([(5.0, 1.0)] * 500)
    assert all(index.value > index.limit for index in drift.indices().values())


@pytest.mark.parametrize("at_once", [1, 7, 499, 1_501])
def test_how_many_rows_come_at_once_changes_nothing(at_once):
    everything = rows(np.random.default_rng(4), 3_100)
    drift, pieces = (DriftMonitor(("constant", "value", "count"), 1_000) for _ in range(2))
    drift.add(everything)
    for first in range(0, len(everything), at_once):
        pieces.add(everything[first : first + at_once])
        if first % 3 == 0:
            pieces.indices()
    assert pieces.indices() == drift.indices() != {}
