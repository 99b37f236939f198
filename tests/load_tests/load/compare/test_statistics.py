"""Comparisons: how often equal targets differ, and what difference is found."""

import doctest

import numpy as np
import pytest

from load_tests.load.compare import statistics
from load_tests.load.compare.statistics import compare_turns, student_limit


def turns(rng, count, factor=1.0):
    """Turns whose machine changes slowly, with noise of 3 %."""
    return [
        {
            "p50_ms": factor * 10 * noise[0],
            "cpu_us": factor * 500 * noise[1],
            "p99_ms": factor * 40 * noise[2],
        }
        for noise in np.exp(rng.normal(0, 0.03, (count, 3)))
    ]


def test_the_examples_hold():
    assert doctest.testmod(statistics).failed == 0


@pytest.mark.parametrize(
    ("level", "freedom", "limit"), [(0.01, 3, 5.841), (0.05, 1, 12.706), (0.05, 30, 2.042)]
)
def test_student_s_quantiles_are_those_of_the_tables(level, freedom, limit):
    assert student_limit(level, freedom) == pytest.approx(limit, abs=0.001)


def test_a_target_compared_with_itself_differs_in_one_of_a_hundred_at_most():
    rng = np.random.default_rng(1)
    alarms = sum(
        any(d.word != "no difference" for d in compare_turns(turns(rng, 6), turns(rng, 6)))
        for _ in range(1000)
    )
    assert alarms <= 20


def test_a_difference_beyond_the_detectable_one_is_found():
    rng = np.random.default_rng(2)
    for _ in range(20):
        worse = compare_turns(turns(rng, 8), turns(rng, 8, 1.25))
        assert {d.word for d in worse} == {"worse"}
        assert all(1 < d.detectable < 1.25 for d in worse)
        assert {d.word for d in compare_turns(turns(rng, 8, 1.25), turns(rng, 8))} == {"better"}


def test_a_figure_that_a_turn_lacks_is_left_out():
    rng = np.random.default_rng(3)
    a, b = turns(rng, 4), turns(rng, 4)
    b[2]["cpu_us"] = None
    assert [d.figure for d in compare_turns(a, b)] == ["p50_ms", "p99_ms"]
