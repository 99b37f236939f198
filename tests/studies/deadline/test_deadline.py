"""The study of deadlines: degraded twins between the whole and the fallback; what metrics say of a line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudsim.settings import Settings
from model.artefact.calibration import Calibration
from simulator.line.scoring import PaymentColumns, Scoring
from simulator.regimes import REGIMES
from studies.deadline.cell import twin_scoring
from studies.deadline.degraded_scoring import DegradedScoring, same_probability
from studies.deadline.live_line import decisions
from studies.deadline.plan import QUICK, TwinArm, load_name, share_name
from studies.frame.study_world import StudyWorld, WorldSpec

SETTINGS = Settings(_env_file=None)
SPEC = WorldSpec(cards=300, history_days=30, days=2, world=(("fraud_scale", 12.0),))
FRESH, BLIND = REGIMES["real-time"], REGIMES["request-only"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return StudyWorld(SPEC, 1, SETTINGS, tmp_path_factory.mktemp("worlds"))


@pytest.fixture(scope="module")
def rows(world):
    table = world.traffic.past.slice(0, 3_000)
    return PaymentColumns.of(table), np.arange(3_000), world.vectors(FRESH)[:3_000]


def probabilities(scoring, rows):
    columns, index, vectors = rows
    return scoring.assess(vectors, columns, index).probabilities


def test_half_degraded_is_each_payment_by_the_one_or_the_other(world, rows):
    whole = probabilities(twin_scoring(world, TwinArm(0.0)), rows)
    blind_scoring = Scoring(world.fit(BLIND).arm, world.policy(0.0), "champion")
    columns, index, vectors = rows
    from model.training.fallback import request_only

    blind = blind_scoring.assess(request_only(vectors), columns, index).probabilities
    scoring = twin_scoring(world, TwinArm(0.5))
    assert isinstance(scoring, DegradedScoring)
    half = probabilities(scoring, rows)
    degraded = np.array([scoring.is_degraded(tx) for tx in columns.table["tx_id"].to_pylist()])
    assert 0.4 < degraded.mean() < 0.6
    assert half[~degraded] == pytest.approx(whole[~degraded], rel=1e-6)
    assert half[degraded] == pytest.approx(blind[degraded], rel=1e-3)
    assert not np.allclose(whole[degraded], blind[degraded], rtol=0.1)


@given(
    st.lists(st.floats(0.0001, 0.9999), min_size=1, max_size=20), st.floats(0.2, 3), st.floats(-3, 3),
    st.floats(0.2, 3), st.floats(-3, 3),
)  # fmt: skip
def test_scores_of_the_same_probability(scores, slope, intercept, other_slope, other_intercept):
    given_by, wanted = Calibration(slope, intercept), Calibration(other_slope, other_intercept)
    moved = same_probability(np.array(scores, np.float32), given_by, wanted)
    for score, new in zip(np.array(scores, np.float32).tolist(), moved.tolist(), strict=True):
        if 1e-5 < new < 1 - 1e-5:
            assert wanted.probability(new) == pytest.approx(given_by.probability(score), rel=1e-2, abs=1e-4)


def test_decisions_are_counted_from_the_metrics():
    text = """# HELP fraudsim_decisions_total Decisions
fraudsim_decisions_total{action="approve",via="http"} 90.0
fraudsim_decisions_total{action="decline",via="stream"} 10.0
fraudsim_decisions_created{action="approve",via="http"} 1.7e9
fraudsim_decision_flags_total{flag="degraded"} 7.0
fraudsim_decision_flags_total{flag="stale"} 3.0
"""
    assert decisions(text) == (100.0, 7.0)


def test_every_share_and_load_has_a_name_of_its_own():
    assert len({share_name(share) for share in QUICK.degraded}) == len(QUICK.degraded)
    names = {load_name(d, r) for d in QUICK.load.deadlines_ms for r in QUICK.load.rates}
    assert len(names) == len(QUICK.load.deadlines_ms) * len(QUICK.load.rates)
