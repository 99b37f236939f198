"""The study of camouflage: which worlds models learn in, and the ranking of typologies."""

from types import SimpleNamespace

import numpy as np
import pytest

from fraudsim.settings import Settings
from studies.camouflage import cell as cells
from studies.camouflage.cell import TypologyScores, run_cell
from studies.camouflage.plan import FIXED, MATCHED, TRAINED_AT, CamouflagePlan, dial_name
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import WorldSpec

SETTINGS = Settings(_env_file=None)
SPEC = WorldSpec(cards=300, history_days=30, days=2, world=(("fraud_scale", 12.0),))
PLAN = CamouflagePlan((0.0, 0.5, 1.0), SPEC, 2, 2)


def stretch(scores, names, present):
    words = sorted({name for name in names if name})
    codes = np.array([words.index(name) if name else -1 for name in names], np.int64)
    return SimpleNamespace(
        stretch=SimpleNamespace(typology=(codes, words)), scores=np.array(scores), present=np.array(present)
    )


def test_each_typology_is_ranked_against_the_honest_alone():
    ranking = TypologyScores()
    ranking.add(stretch([0.9, 0.8, 0.1], ["a", "b", ""], [True, True, True]))
    ranking.add(stretch([0.5, 0.95, 0.2], ["a", "", ""], [True, True, False]))
    measures = ranking.measures()
    # a: 0.9 and 0.5 below an honest 0.95: precisions 1/2 and 2/3.
    assert measures["AP a"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert measures["AP b"] == pytest.approx(1 / 2)


def test_the_matched_model_of_the_trained_dial_is_left_out():
    assert (MATCHED, dial_name(TRAINED_AT)) in PLAN.left_out()
    assert dict(PLAN.spec_at(1.0).world)["camouflage"] == 1.0


def test_the_fixed_model_is_of_one_world_and_the_matched_one_of_its_own(tmp_path):
    fixed = run_cell(PLAN, StudyCell(FIXED, dial_name(1.0), 1), SETTINGS, tmp_path)
    matched = run_cell(PLAN, StudyCell(MATCHED, dial_name(1.0), 1), SETTINGS, tmp_path)
    assert {key[0] for key in cells._worlds} == {0.5, 1.0}
    assert fixed.line.net_loss_rate != matched.line.net_loss_rate
    assert any(name.startswith("AP ") for name in fixed.measures)
    assert fixed == run_cell(PLAN, StudyCell(FIXED, dial_name(1.0), 1), SETTINGS, tmp_path)
    cells._worlds.clear()
