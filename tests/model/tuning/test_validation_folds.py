import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from model.training.label_knowledge import LabelKnowledge
from model.tuning.validation_folds import FoldDays, ValidationFold, prequential_folds, rows_of_fold
from stream_features.catalogue.features import DAY

WEEK = FoldDays(7, 7, 7)


def knowledge_of(ts, fraud_rows, delay_ms=7 * DAY):
    rows = np.array(fraud_rows, np.int64)
    return LabelKnowledge(
        rows, ts[rows] + delay_ms, np.zeros(len(rows), np.int64), np.ones(len(rows), np.bool_), len(ts)
    )


def test_folds_are_consecutive_and_the_last_one_ends_at_the_end():
    folds = prequential_folds(0, 40 * DAY, WEEK, 3)
    assert [fold.test_until_ms // DAY for fold in folds] == [26, 33, 40]
    assert all(fold.test_from_ms - fold.train_until_ms == 7 * DAY for fold in folds)


def test_folds_without_room_are_left_out_and_none_is_refused():
    assert len(prequential_folds(0, 30 * DAY, WEEK, 9)) == 2
    with pytest.raises(FraudsimError, match=r"20 days are too few.*take 21 or more"):
        prequential_folds(0, 20 * DAY, WEEK, 1)


def handbook_test_rows(day, card, fraud, start):
    """`get_train_test_set` of the Handbook, by its text: sets of customers, one day at a time."""
    compromised = {c for c, d, f in zip(card, day, fraud, strict=True) if f and start <= d < start + 7}
    rows = []
    for number in range(7):
        new = start + 7 + number - 1
        compromised |= {c for c, d, f in zip(card, day, fraud, strict=True) if f and d == new}
        rows += [i for i in range(len(day)) if day[i] == start + 14 + number and card[i] not in compromised]
    return sorted(rows)


@pytest.mark.parametrize("seed", range(5))
def test_compromised_cards_leave_day_by_day_as_in_the_handbook(seed):
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(0, 25 * DAY, 4000))
    card, fraud = rng.integers(0, 150, 4000), rng.random(4000) < 0.02
    fold = ValidationFold.of_test(18 * DAY, WEEK)
    rows = rows_of_fold(fold, ts, card, knowledge_of(ts, np.flatnonzero(fraud)))
    assert np.flatnonzero(rows.test).tolist() == handbook_test_rows(ts // DAY, card, fraud, 4)
    assert np.array_equal(rows.train_fraud & rows.train, fraud & rows.train)


def test_training_knows_only_what_is_known_when_the_test_begins():
    ts = np.array([1, 2, 15, 16]) * DAY
    fold = ValidationFold.of_test(14 * DAY, WEEK)
    knowledge = LabelKnowledge(
        np.array([0, 1, 2]),
        np.array([13, 14, 40]) * DAY,
        np.zeros(3, np.int64),
        np.ones(3, np.bool_),
        4,
    )
    rows = rows_of_fold(fold, ts, np.array([0, 1, 2, 3]), knowledge)
    assert rows.train_fraud.tolist() == [True, False, False, False]
    assert rows.test_fraud.tolist() == [True, True, True, False]


@pytest.mark.parametrize(("frauds", "message"), [([2], "training.*0 are known"), ([0], "test.*0 are frauds")])
def test_a_part_without_fraud_is_refused_by_its_first_day(frauds, message):
    ts = np.array([1, 2, 15, 16]) * DAY
    with pytest.raises(FraudsimError, match=message) as refused:
        rows_of_fold(ValidationFold.of_test(14 * DAY, WEEK), ts, np.arange(4), knowledge_of(ts, frauds))
    assert "1970-01-" in str(refused.value)
