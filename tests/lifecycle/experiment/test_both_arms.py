"""On which payments the arms part: the answers of both models, and what each arm has of its own."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from fraudsim.log.events import Transaction
from lifecycle.experiment.both_arms import BothArms
from model.artefact.calibration import Calibration
from model.artefact.thresholds import Thresholds
from scorer.policy.policy import APPROVE, DECLINE, REVIEW, STEP_UP, ByThresholds, Exploration, Limits, Policy
from simulator.line.scoring import PaymentColumns, Scoring, ScoringArm
from stream_features.vector import SIZE

THRESHOLDS = Thresholds(0.1, 0.2, 0.3)
POLICY = Policy("p-1", {"champion": ByThresholds(THRESHOLDS)}, Limits(), Exploration(), ())
NAN = float("nan")


def scoring(scores, policy=POLICY):
    """A model that gives each row the score that its first feature points to."""
    table = np.array(scores, np.float32)
    forest = SimpleNamespace(predict=lambda rows: table[rows[:, 0].astype(int)])
    return Scoring(ScoringArm(forest, THRESHOLDS, Calibration(), "m", "champion"), policy, "champion")


def asked(of_a, of_b, policy=POLICY, blocked=()):
    n = len(of_a)
    vectors = np.zeros((n, SIZE), np.float32)
    vectors[:, 0] = np.arange(n)
    columns = PaymentColumns.of(pa.table({"channel": ["pos"] * n, "amount_cents": [100] * n}))
    both = BothArms(scoring(of_a, policy), scoring(of_b, policy))
    return both.ask(
        vectors, columns, np.arange(n),
        lambda row: Transaction(tx_id=f"t{row}", ts=row, card_id="c", amount_cents=100), blocked,
    )  # fmt: skip


def test_payments_that_both_treat_alike_part_no_card_and_others_do():
    answers = asked([0.0, 0.15, 0.35, 0.0, 0.15], [0.05, 0.19, 0.9, 0.35, 0.0])
    assert answers.a.tolist() == [APPROVE, STEP_UP, DECLINE, APPROVE, STEP_UP]
    assert answers.b.tolist() == [APPROVE, STEP_UP, DECLINE, DECLINE, APPROVE]
    assert answers.differ.tolist() == [False, False, False, True, True]


def test_what_needs_an_arm_s_own_analysts_or_quota_parts_the_card_though_both_prefer_it():
    answers = asked([0.25, 0.35], [0.25, 0.35])
    assert answers.a.tolist() == answers.b.tolist() == [REVIEW, DECLINE]
    assert answers.differ.tolist() == [True, False]
    limited = replace(POLICY, limits=Limits(declined_share_of_day=0.1))
    assert asked([0.25, 0.35], [0.25, 0.35], limited).differ.tolist() == [True, True]


@pytest.mark.parametrize("score", [0.0, 0.35])
def test_where_b_gives_no_number_a_decides_in_both_arms(score):
    answers = asked([score], [NAN])
    assert answers.usable.tolist() == [False]
    assert answers.differ.tolist() == [False]


def test_no_model_decides_for_a_blocked_card():
    assert asked([0.0, 0.0], [0.9, 0.9], blocked={1}).differ.tolist() == [True, False]
