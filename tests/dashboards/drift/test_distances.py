"""Distances, the null's limits and resampled cards, against what they are defined as."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.drift.distances import area, missing_change, rate_change, stability_index
from dashboards.drift.grid import CELLS, CellGrid
from dashboards.drift.limits import leave_one_out, null_limit
from dashboards.drift.resampling import card_weights
from dashboards.drift.stability_index import Bins, psi

VALUES = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=80)


def counted(grid, values):
    return np.bincount(grid.cell_of(np.array(values)), minlength=grid.size).astype(float)


def exact_area(reference, now):
    """The mean over the reference's values of the gap between both distribution functions."""
    reference, now = (np.array([v for v in values if not math.isnan(v)]) for values in (reference, now))
    if not len(reference) or not len(now):
        return None
    return float(np.mean([abs((reference <= v).mean() - (now <= v).mean()) for v in reference]))


@given(VALUES, VALUES)
def test_the_area_is_that_between_the_distribution_functions(reference, now):
    exact = exact_area(reference, now)
    if exact is None:
        return
    grid = CellGrid(np.array(reference))
    got = float(area(counted(grid, reference), counted(grid, now)))
    # Fewer values than cells: every value is an edge, and nothing is lost.
    distinct = len({v for v in reference if not math.isnan(v)})
    assert got == pytest.approx(exact, abs=1e-9 if distinct < CELLS // 2 else 3 / CELLS)


def test_no_unit_and_no_order_of_magnitude_matters():
    rng = np.random.default_rng(1)
    reference, now = rng.lognormal(size=5_000), rng.lognormal(size=5_000) * 1.1
    areas = []
    for change in (lambda x: x, lambda x: 1_000 * x, np.log):
        grid = CellGrid(change(reference))
        areas.append(float(area(counted(grid, change(reference)), counted(grid, change(now)))))
    assert areas == pytest.approx([areas[0]] * 3)
    assert areas[0] == pytest.approx(0.027, abs=0.006), "as the docstring says of 10 %"


def test_the_index_is_the_one_of_the_live_monitor_where_bins_are_equal():
    rng = np.random.default_rng(2)
    reference, now = rng.normal(size=20_000), rng.normal(0.3, 1, 20_000)
    grid, bins = CellGrid(reference), Bins(reference)
    ours = float(stability_index(counted(grid, reference), counted(grid, now)))
    assert ours == pytest.approx(psi(bins.reference, bins.counts(now)).value, rel=0.02)


def test_missing_values_are_a_change_of_their_own():
    grid = CellGrid(np.arange(100.0))
    reference, now = np.arange(100.0), np.where(np.arange(100) < 25, np.nan, np.arange(100.0))
    assert missing_change(counted(grid, reference), counted(grid, now)) == pytest.approx(0.25)


def test_a_rate_changes_by_the_logarithm_of_its_factor():
    change = rate_change(np.array([1_000.0, 100_000.0]), np.array([2_000.0, 100_000.0]))
    assert change == pytest.approx(math.log(2), abs=1e-3)


def test_reference_weeks_are_compared_with_all_others():
    weeks = np.random.default_rng(3).integers(1, 50, (8, 3, 6)).astype(float)
    distances = leave_one_out(weeks, area)
    for left_out in range(8):
        others = [weeks[i] for i in range(8) if i != left_out]
        for resample in range(3):
            total = sum(other[resample] for other in others)
            assert distances[left_out, resample] == pytest.approx(
                float(area(total, weeks[left_out, resample]))
            )


def test_the_limit_is_no_lower_than_the_effect_that_matters():
    weeks = np.ones((8, 3, 6))
    assert null_limit(weeks, area, 0.001, floor=0.04).value == 0.04


def test_a_card_is_drawn_alike_in_every_week_and_once_on_average():
    cards = np.random.default_rng(4).integers(-(2**62), 2**62, 4_000)
    weights = card_weights(cards, resamples=30)
    assert (weights[0] == 1).all()
    assert weights[1:].mean() == pytest.approx(1, abs=0.02)
    assert weights[1:].var() == pytest.approx(1, abs=0.03)
    again = card_weights(cards[::-2], resamples=30)
    assert (again == weights[:, ::-2]).all()
    assert abs(np.corrcoef(weights[1], weights[2])[0, 1]) < 0.06
