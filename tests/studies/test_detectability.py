import json

import numpy as np
import pytest

from fraudsim.settings import Settings
from producers.typologies import TYPOLOGY_CLASSES
from studies.detectability import DIALS, measure, page_of, study


@pytest.fixture(scope="module")
def result_and_out(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    heard = []
    result = study(out, Settings(_env_file=None, seed=7), cards=700, days=40, on_dial=heard.append)
    assert heard == [0.5, 0.0, 1.0]
    return result, out


def test_every_typology_is_measured_at_every_dial(result_and_out):
    found = {(item.typology, item.camouflage) for item in result_and_out[0].found}
    often = {"card_testing", "leaked_card", "account_takeover", "friendly_fraud", "lost_card"}
    assert {name for name, _ in found} <= {scheme.name for scheme in TYPOLOGY_CLASSES}
    assert {(name, dial) for name in often for dial in DIALS} <= found


def test_hiding_helps(result_and_out):
    by = {(item.typology, item.camouflage): item for item in result_and_out[0].found}
    assert by["card_testing", 0.0].average_precision > by["card_testing", 1.0].average_precision
    plain = [item.auc for item in result_and_out[0].found if item.camouflage == 0.0]
    hidden = [item.auc for item in result_and_out[0].found if item.camouflage == 1.0]
    assert np.mean(plain) > np.mean(hidden)


def test_friendly_fraud_is_near_irreducible(result_and_out):
    for item in result_and_out[0].found:
        if item.typology == "friendly_fraud":
            assert item.average_precision < 0.1


def test_the_files_hold_the_result(result_and_out):
    result, out = result_and_out
    document = json.loads((out / "detectability.json").read_text())
    assert len(document["found"]) == len(result.found)
    page = (out / "detectability.md").read_text()
    assert page == page_of(result).markdown()
    assert page.count("\n| ") == 1 + len({item.typology for item in result.found})


def test_a_typology_is_ranked_against_the_honest_only():
    codes = np.array([-1, -1, 0, 1, 1])
    scores = np.array([0.1, 0.2, 0.9, 0.15, 0.05], np.float32)
    easy, hard = measure((codes, ["easy", "hard"]), np.ones(5, bool), scores, 0.5)
    assert (easy.frauds, easy.average_precision, easy.auc) == (1, 1.0, 1.0)
    assert (hard.frauds, hard.auc) == (2, 0.25)
