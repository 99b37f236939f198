"""The study of false wins, very small; and its bounds where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from fraudsim.settings import Settings
from model.artefact.files import current_versions
from studies.false_wins.cell import MethodTests, ShareTests, adjusted, looked_at_daily, run_cell
from studies.false_wins.definition import result_of, upper_bound
from studies.false_wins.page import report_of
from studies.false_wins.plan import METHODS, OF_PAIRS, PARTED, QUICK, SHARES, TO_END
from studies.frame.cell_plan import StudyCell
from studies.frame.definition import Provenance
from studies.frame.page import terminal_pages
from studies.frame.study_world import WorldSpec

TINY = replace(
    QUICK, worlds=WorldSpec(200, 20, 14, (("fraud_scale", 12.0),)), days=7, tests=30, planted_tests=3,
    cards=600,
)  # fmt: skip
ORIGIN = Provenance(study="false-wins", size="quick", code="x", versions=current_versions())


def test_cards_of_a_world_drawn_into_equal_arms_are_told_apart_rarely(tmp_path):
    figures = run_cell(
        TINY, StudyCell("25 %", "usual", 1), Settings(_env_file=None, label_gap_days=3), tmp_path
    )
    assert list(figures.methods) == list(METHODS)
    for name, method in figures.methods.items():
        assert method.tests == 30
        # More than 7 of 30 at 5 % happens less than once in 1,000 times.
        assert method.wins + method.losses <= 7
        assert method.detectable_share > 0
        assert bool(method.detected) == (name not in OF_PAIRS)
    assert figures.coefficient_of_variation > 1
    assert 0 < figures.parted < 1
    assert figures.methods[PARTED].detectable_share <= figures.methods[TO_END].detectable_share


@pytest.mark.parametrize("way", METHODS)
def test_a_look_says_which_arm_costs_less(way):
    rng = np.random.default_rng(1)
    cumulative = rng.gamma(2.0, 100.0, (2_000, 14)).cumsum(axis=1)
    in_b = rng.random(2_000) < 0.5
    assert looked_at_daily(way, np.where(in_b[:, None], 0.5, 1.0) * cumulative, in_b).sign == -1
    assert looked_at_daily(way, np.where(in_b[:, None], 2.0, 1.0) * cumulative, in_b).sign == 1


def test_what_the_weeks_before_predict_is_taken_away_and_the_difference_stays():
    rng = np.random.default_rng(2)
    before = rng.gamma(2.0, 100.0, (4_000, 2))
    before = np.column_stack([before, np.full(4_000, 7.0)])  # a column that says nothing
    noise = rng.normal(0, 10.0, (4_000, 1))
    in_b = rng.random(4_000) < 0.5
    outcome = 3 * before[:, :1] + noise + 50.0 * in_b[:, None]
    left = adjusted(outcome, before)
    assert left.std() < 0.2 * outcome.std()
    assert left[in_b].mean() - left[~in_b].mean() == pytest.approx(50.0, abs=2.0)


@pytest.mark.parametrize(("wrong", "kept"), [(90, True), (120, False)])
def test_the_page_says_whether_the_promise_holds(wrong, kept):
    one = MethodTests(
        tests=2_000, wins=wrong - 10, losses=10, naive=500, planted_tests=10,
        detected={"10%": 1, "20%": 5, "40%": 10}, pair_found=7, pair_wrong=0, detectable_share=0.3,
    )  # fmt: skip
    methods = dict.fromkeys(METHODS, one)
    tests = ShareTests(
        methods=methods, coefficient_of_variation=5.0, pair_lift=-0.3, parted=0.1, explained=0.01
    )
    result = result_of(TINY, {(name, "usual", 1): tests for name in SHARES}, [1], ORIGIN)
    assert (result.figures[0].upper_bound <= 0.06) == kept
    report = report_of(result)
    assert ("does not hold" in report.answer[0]) != kept
    assert report.answer[1].startswith("B costs 30% less than A")
    assert len(terminal_pages(report)) == 4


def test_the_bound_of_a_share_holds_for_none_and_for_all():
    assert 0.001 < upper_bound(0, 2_000) < 0.002
    assert upper_bound(10, 10) == 1.0
