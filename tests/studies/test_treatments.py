import json
from dataclasses import replace

import pytest

from fraudsim.settings import Settings
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from studies import parts, treatments
from studies.treatments import page_of, study


@pytest.fixture(scope="module")
def result_and_files(tmp_path_factory):
    history, out = tmp_path_factory.mktemp("history"), tmp_path_factory.mktemp("out")
    write_history(history, World(WorldConfig(cards=350, seed=5, fraud_scale=8)), 36)
    patch = pytest.MonkeyPatch()
    few = replace(treatments.SHIPPED, trees=20, eta=0.2)
    for module in ("studies.treatments", "model.treatments.treatments", "model.forest.fit"):
        patch.setattr(f"{module}.SHIPPED", few)
    patch.setattr(treatments, "TREATMENTS", treatments.TREATMENTS[:1] + treatments.TREATMENTS[-2:])
    settings = Settings(_env_file=None, label_gap_days=7, seed=7)
    first = study(history, out, settings)
    patch.setattr(treatments, "_scores", None)
    again = study(history, out, settings)
    patch.undo()
    return first, again, out


def test_an_interrupted_study_takes_its_finished_parts(result_and_files):
    first, again, _ = result_and_files
    assert first == again


def test_the_first_treatment_does_not_differ_from_itself(result_and_files):
    compared = result_and_files[0].treatments[0].calibrated["none"].compared
    assert compared.low == compared.high == 0


def test_undersampled_scores_expect_too_much_fraud_until_they_are_corrected(result_and_files):
    _, sampled, corrected = (
        one.calibrated["none"].figures.mean_probability for one in result_and_files[0].treatments
    )
    assert sampled > 2 * corrected


def test_bands_and_typologies_cover_the_test(result_and_files):
    result, _, out = result_and_files
    assert sum(group.transactions for group in result.by_amount) == result.test_rows
    assert len(result.by_typology) > 3
    text = page_of(result).markdown()
    assert text.count("\n| ") == 1 + 9
    assert json.loads((out / "treatments.json").read_text())["test_rows"] == result.test_rows
    assert (out / "reliability.svg").read_text().startswith("<svg")


def test_parts_of_another_input_are_not_taken(tmp_path):
    kind = treatments.FirstScores
    first = parts.StudyParts(tmp_path, "a").result("x", kind, lambda: kind(held_out=[1.0], test=[]))
    other = parts.StudyParts(tmp_path, "b").result("x", kind, lambda: kind(held_out=[2.0], test=[]))
    assert (first.held_out, other.held_out) == ([1.0], [2.0])
