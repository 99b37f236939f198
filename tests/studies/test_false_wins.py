"""The study of false wins, very small; and its bounds where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from fraudsim.settings import Settings
from model.artefact.files import current_versions
from studies.false_wins.cell import ShareTests, looked_at_daily, run_cell
from studies.false_wins.definition import result_of, upper_bound
from studies.false_wins.page import report_of
from studies.false_wins.plan import QUICK, SHARES
from studies.frame.cell_plan import StudyCell
from studies.frame.definition import Provenance
from studies.frame.study_world import WorldSpec

TINY = replace(
    QUICK, worlds=WorldSpec(200, 20, 7, (("fraud_scale", 12.0),)), tests=150, planted_tests=5, cards=1_000
)
ORIGIN = Provenance(study="false-wins", size="quick", code="x", versions=current_versions())


def test_cards_of_a_world_drawn_into_equal_arms_are_told_apart_rarely(tmp_path):
    figures = run_cell(
        TINY, StudyCell("25 %", "usual", 1), Settings(_env_file=None, label_gap_days=3), tmp_path
    )
    assert figures.tests == 150
    # More than 17 of 150 at 5 % happens once in 1,000 times.
    assert figures.wins + figures.losses <= 17
    assert figures.detectable_share > 0
    assert figures.coefficient_of_variation > 1


def test_a_look_says_which_arm_costs_less():
    rng = np.random.default_rng(1)
    cumulative = rng.gamma(2.0, 100.0, (2_000, 14)).cumsum(axis=1)
    in_b = rng.random(2_000) < 0.5
    assert looked_at_daily(np.where(in_b[:, None], 0.5, 1.0) * cumulative, in_b).sign == -1
    assert looked_at_daily(np.where(in_b[:, None], 2.0, 1.0) * cumulative, in_b).sign == 1


@pytest.mark.parametrize(("wrong", "kept"), [(90, True), (120, False)])
def test_the_page_says_whether_the_promise_holds(wrong, kept):
    tests = ShareTests(
        tests=2_000, wins=wrong - 10, losses=10, naive=500, planted_tests=10,
        detected={"10%": 1, "20%": 5, "40%": 10}, detectable_share=0.3, coefficient_of_variation=5.0,
    )  # fmt: skip
    result = result_of(TINY, {(name, "usual", 1): tests for name in SHARES}, [1], ORIGIN)
    assert (result.shares[0].upper_bound <= 0.06) == kept
    assert ("does not hold" in report_of(result).answer[0]) != kept


def test_the_bound_of_a_share_holds_for_none_and_for_all():
    assert 0.001 < upper_bound(0, 2_000) < 0.002
    assert upper_bound(10, 10) == 1.0
