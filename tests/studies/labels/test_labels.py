"""What a model is told of its past: labels late, lost and false, and a past that somebody decided."""

import numpy as np
import pyarrow as pa
import pytest

from fraudsim.settings import Settings
from stream_features.catalogue.features import DAY
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import StudyWorld, WorldSpec
from studies.labels.cell import BankWorld, fit_and_measure, run_cell, truth_of
from studies.labels.decided_past import middle_of, policy_of_past
from studies.labels.fit import TrainingRows, fit_arm, training_period
from studies.labels.plan import LEFT_OUT, PAST_LOSS, LabelArm, LabelsPlan, LabelView, PastPolicy
from studies.labels.training_labels import known_frauds

SETTINGS = Settings(_env_file=None)
SPEC = WorldSpec(cards=300, history_days=46, days=2, world=(("fraud_scale", 12.0),))


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    world = StudyWorld(SPEC, 3, SETTINGS, tmp_path_factory.mktemp("worlds"))
    return BankWorld(world, SPEC.history_days)


def table(n: int, frauds: list[int], known_days: list[float]) -> tuple[pa.Table, pa.Table]:
    transactions = pa.table({"tx_id": [f"t{i}" for i in range(n)]})
    labels = pa.table(
        {
            "tx_id": [f"t{i}" for i in frauds],
            "known_at": [round(days * DAY) for days in known_days],
            "source": ["customer"] * len(frauds),
            "is_fraud": [True] * len(frauds),
        }
    )
    return transactions, labels


def known(view: LabelView, at_days: float = 10, n: int = 1000, frauds: int = 100, seed: int = 1) -> list[int]:
    transactions, labels = table(n, list(range(frauds)), [i / 10 for i in range(frauds)])
    truth = np.arange(n) < frauds
    return np.flatnonzero(
        known_frauds(transactions, labels, truth, view, round(at_days * DAY), seed)
    ).tolist()


def test_only_labels_known_by_then_count_and_later_ones_count_later():
    assert known(LabelView(), 5) == list(range(50))
    assert known(LabelView(later_days=2), 5) == list(range(30))
    assert known(LabelView(truth=True), 5) == list(range(100))


def test_lost_and_false_labels_are_as_many_as_asked_for_and_belong_to_the_seed():
    lost = known(LabelView(lost=0.3))
    assert 55 <= len(lost) <= 85
    assert set(lost) < set(range(100))
    assert known(LabelView(lost=0.3)) == lost != known(LabelView(lost=0.3), seed=2)
    false = known(LabelView(false=0.3))
    assert set(range(100)) < set(false)
    assert len(false) == 130


def test_however_long_one_waits_as_many_days_are_learnt_from():
    ts = np.arange(0, 60 * DAY, DAY // 4)
    for gap in (1.0, 7.0, 21.0):
        train, held_out = training_period(ts, 60 * DAY, 20, gap)
        assert train.sum() == 80
        assert ts[train].max() < 60 * DAY - gap * DAY <= ts[train].max() + DAY // 4
        assert held_out.sum() == 16
        assert (train | ~held_out).all()


def test_a_row_that_counts_twice_is_a_row_that_is_there_twice():
    generator = np.random.default_rng(1)
    features = generator.normal(size=(400, 69)).astype(np.float32)
    fraud = features[:, 0] + generator.normal(size=400) > 1
    train, held_out = np.ones(400, np.bool_), np.arange(400) >= 300
    weight = np.where(np.arange(400) % 7 == 0, 2, 1)
    index = np.repeat(np.arange(400), weight)
    weighted = fit_arm(TrainingRows(features, fraud, train, held_out, weight), "w", 1)
    copied = fit_arm(TrainingRows(features[index], fraud[index], train[index], held_out[index]), "c", 1)
    assert weighted.flag_from == copied.flag_from
    probe = features[:50]
    assert (weighted.arm.forest.predict(probe) == copied.arm.forest.predict(probe)).all()


def test_the_truth_stands_in_the_order_of_the_history(bank):
    traffic = bank.world.traffic
    assert len(bank.truth) == traffic.past.num_rows
    eventual = known_frauds(
        traffic.past, traffic.labels_before, bank.truth, LabelView(), 2**62, bank.world.seed
    )
    assert (eventual & bank.truth).sum() > 0.8 * bank.truth.sum()
    assert (truth_of(bank.world, SPEC.history_days) == bank.truth).all()


def test_nothing_is_learnt_of_what_only_declines_stop(bank):
    past = bank.past(PastPolicy(only_declines=True))
    cut_ms = middle_of(bank.world.traffic, SPEC.history_days).start_ms
    ts = bank.world.traffic.past["ts"].to_numpy()
    assert past.stopped.any()
    assert not past.stopped[ts < cut_ms].any()
    ids = np.array(bank.world.traffic.past["tx_id"].to_pylist())
    labelled = set(past.labels["tx_id"].to_pylist())
    assert not labelled & set(ids[past.stopped].tolist())
    assert (past.unlabelled == past.stopped).all()
    assert (past.weight == 1).all()


def test_who_asks_the_customer_knows_of_what_was_stopped(bank):
    past = bank.past(PastPolicy())
    assert past.stopped.sum() > past.unlabelled.sum()


def test_what_exploration_lets_through_goes_through_and_counts_for_those_that_were_not(bank):
    policy = policy_of_past(PastPolicy(only_declines=True, explored=0.5), bank.world.policy(0.1))
    assert policy.exploration.share == 0.5
    past = bank.past(PastPolicy(only_declines=True, explored=0.5))
    explored = past.weight == 2
    assert explored.any()
    assert not (explored & past.stopped).any()
    assert set(past.weight.tolist()) == {1, 2}


def test_left_out_payments_are_not_learnt_from_and_measures_say_how_many(bank):
    arm = LabelArm(past=PastPolicy(only_declines=True), unlabelled="left out")
    past = bank.past(arm.past)
    fitted, measures = fit_and_measure(bank, arm, past, "a")
    assert measures["unlabelled"] >= measures["unlabelled frauds"] > 0
    assert measures["known frauds"] < measures["frauds"]
    assert measures[PAST_LOSS] == past.net_loss_rate
    assert 0 < fitted.flag_from < 1


def test_a_cell_is_decided_after_its_history(tmp_path):
    plan = LabelsPlan(SPEC, 2, 2)
    figures = run_cell(plan, StudyCell(LEFT_OUT, "world", 3), SETTINGS, tmp_path)
    assert figures.line.decisions > 300
    assert figures.line.net_loss_rate > 0
    assert figures.measures[PAST_LOSS] > 0
