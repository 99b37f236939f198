"""The study of skew: a bar set anew flags as many as it should on the features that it is set on."""

import numpy as np
import pytest

from fraudsim.settings import Settings
from simulator.line.scoring import scores_of_rows
from simulator.regimes import REGIMES
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import ALERT_SHARE, StudyWorld, WorldSpec
from studies.skew.cell import run_cell, with_new_bar
from studies.skew.plan import FRESH, SkewArm, SkewPlan

SETTINGS = Settings(_env_file=None)
SPEC = WorldSpec(cards=300, history_days=30, days=2, world=(("fraud_scale", 12.0),))
PLAN = SkewPlan((REGIMES["tumbling"],), SPEC, 2, 2)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return StudyWorld(SPEC, 1, SETTINGS, tmp_path_factory.mktemp("worlds"))


def test_every_served_regime_is_matched_skewed_and_skewed_with_a_new_bar():
    arms = PLAN.arms()
    assert arms["tumbling, matched"].trained == arms["tumbling, matched"].serves == REGIMES["tumbling"]
    assert arms["tumbling, skewed"].trained == REGIMES[FRESH]
    assert arms["tumbling, skewed, new bar"].new_bar
    names = {contrast.arm for contrast in PLAN.contrasts()} | {c.base for c in PLAN.contrasts()}
    assert names <= set(arms)


def test_the_new_bar_flags_its_share_of_the_features_as_served(world):
    arm = SkewArm(REGIMES["tumbling"], REGIMES[FRESH], new_bar=True)
    fitted = world.fit(arm.trained)
    changed = with_new_bar(world, fitted, arm)
    vectors = world.vectors(arm.serves)[world.dataset.calibration]
    scores = scores_of_rows(changed.arm.forest, vectors)
    chances = np.array([changed.arm.calibration.probability(score) for score in scores.tolist()])
    new, old = (
        abs(float((chances > bar).mean()) - ALERT_SHARE) for bar in (changed.flag_from, fitted.flag_from)
    )
    assert new < 0.002
    assert new < old
    assert changed.arm is fitted.arm


def test_a_skewed_model_decides_otherwise_than_a_matched_one(tmp_path):
    matched = run_cell(PLAN, StudyCell("tumbling, matched", "world", 1), SETTINGS, tmp_path)
    skewed = run_cell(PLAN, StudyCell("tumbling, skewed", "world", 1), SETTINGS, tmp_path)
    assert matched.line.flagged != skewed.line.flagged
