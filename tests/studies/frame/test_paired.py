"""Statistics where the answer is known."""

import numpy as np
import pytest

from studies.frame.paired import control_of, detectable, holm, p_value


def test_null_twins_show_nothing_and_a_planted_effect_is_found():
    generator = np.random.default_rng(1)
    base = generator.normal(2000, 300, 12)
    control = control_of("1", base.tolist(), (base + generator.normal(0, 100, 12)).tolist(), 0.25)
    assert not control.null_told
    assert control.planted_told
    assert control.observed.low < control.planted < control.observed.high
    assert control.detectable < control.planted


def test_a_real_difference_between_null_twins_would_be_told():
    base = np.linspace(1900, 2100, 8)
    assert control_of("1", base.tolist(), (base + 50 + np.arange(8)).tolist(), 0.25).null_told


def test_four_of_five_studies_find_the_detectable_effect():
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 1, (4000, 8))
    effect = detectable(((noise[0] - noise[0].mean()) / noise[0].std(ddof=1)).tolist())
    found = np.mean([p_value(row) < 0.05 for row in noise + effect])
    nothing = np.mean([p_value(row) < 0.05 for row in noise])
    assert found == pytest.approx(0.8, abs=0.04)
    assert nothing == pytest.approx(0.05, abs=0.015)


def test_one_pair_says_nothing():
    control = control_of("1", [100.0], [120.0], 0.5)
    assert (control.null_told, control.planted_told, control.detectable) == (False, False, None)
    assert p_value([3.0]) == 1


def test_among_many_effects_only_the_strong_hold():
    generator = np.random.default_rng(3)
    pages = [holm([p_value(row) for row in generator.normal(0, 1, (50, 8))]) for _ in range(200)]
    assert np.mean([any(page) for page in pages]) < 0.1
    assert holm([0.0005, *generator.uniform(0.1, 1, 49)]) == [True, *[False] * 49]
