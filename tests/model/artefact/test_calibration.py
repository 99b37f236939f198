"""Platt scaling: finds the map that made the labels, keeps the order, and changes nothing where it cannot."""

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from model.artefact.calibration import Calibration, fit_calibration


def test_the_map_that_made_the_labels_is_found():
    rng = np.random.default_rng(3)
    scores = rng.beta(0.3, 20, 200_000)
    made_by = Calibration(1.4, 0.9)
    fraud = rng.random(len(scores)) < [made_by.probability(s) for s in scores.tolist()]
    fitted = fit_calibration(scores.astype(np.float32), fraud)
    assert fitted.slope == pytest.approx(1.4, abs=0.05)
    assert fitted.intercept == pytest.approx(0.9, abs=0.2)
    assert np.mean([fitted.probability(s) for s in scores.tolist()]) == pytest.approx(fraud.mean(), rel=1e-6)


def test_the_default_gives_the_score_back_and_every_map_keeps_the_order_to_the_ends():
    scores = np.linspace(0, 1, 101)
    assert [Calibration().probability(s) for s in scores[1:-1]] == pytest.approx(scores[1:-1].tolist())
    steep = [Calibration(5.0, -2.0).probability(s) for s in scores.tolist()]
    assert sorted(steep) == steep
    assert 0 <= steep[0] < 1e-9
    assert 1 - 1e-9 < steep[-1] <= 1


@pytest.mark.parametrize(
    ("scores", "fraud"),
    [
        ([0.5, 0.5, 0.5, 0.5], [True, False, True, False]),
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True]),
        ([0.1, 0.2, 0.3, 0.8, 0.9, 0.7], [True, False, True, False, False, True]),
    ],
    ids=["all alike", "apart", "the wrong way round"],
)
def test_where_no_map_can_be_found_there_is_none(scores, fraud):
    assert fit_calibration(np.array(scores), np.array(fraud)) == Calibration()


def test_a_map_that_turns_the_order_round_is_refused():
    with pytest.raises(FraudsimError, match="slope=-1"):
        Calibration(-1.0, 0.0)
