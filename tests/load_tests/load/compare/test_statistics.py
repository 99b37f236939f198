"""Comparisons: how often equal targets differ, and what difference is found."""

import numpy as np

from load_tests.load.compare.statistics import compare_turns


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
