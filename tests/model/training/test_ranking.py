import math

import numpy as np
import pytest

from model.training.ranking import (
    alerts_at,
    area_under_roc,
    average_precision,
    card_precision_at,
    recall_by_group,
)
from stream_features.catalogue.features import DAY


def card_precision(k, rows):
    """Rows (day, card, is_fraud, score)."""
    day, card, fraud, score = (np.array(c) for c in zip(*rows, strict=True))
    return card_precision_at(k, (day * DAY).astype(np.int64), card, fraud.astype(bool), score, 0)


def test_card_precision_is_the_mean_over_days_of_found_cards_over_k():
    rows = [
        (0.1, 1, True, 0.9), (0.2, 2, False, 0.8), (0.3, 3, True, 0.1), (0.4, 1, False, 0.2),
        (1.1, 4, True, 0.7), (1.2, 5, True, 0.6), (1.3, 6, False, 0.5),
    ]  # fmt: skip
    precision, ceiling = card_precision(2, rows)
    assert precision == pytest.approx((1 / 2 + 2 / 2) / 2)
    assert ceiling == 1.0


def test_a_card_scores_as_its_riskiest_transaction():
    rows = [(0.1, 1, True, 0.2), (0.2, 1, False, 0.9), (0.3, 2, False, 0.8)]
    assert card_precision(1, rows)[0] == 1.0


def test_a_card_found_compromised_leaves_the_following_days():
    rows = [(0.1, 1, True, 0.9), (1.1, 1, True, 0.9), (1.2, 2, True, 0.1), (1.3, 3, False, 0.5)]
    assert card_precision(1, rows)[0] == pytest.approx((1 + 0) / 2)


def test_a_compromised_card_that_was_not_found_stays():
    rows = [(0.1, 1, True, 0.1), (0.2, 2, False, 0.9), (1.1, 1, True, 0.9)]
    assert card_precision(1, rows)[0] == pytest.approx((0 + 1) / 2)


def test_the_ceiling_is_what_a_perfect_ranking_gets():
    assert card_precision(4, [(0.1, 1, True, 0.9), (0.2, 2, False, 0.1)]) == (0.25, 0.25)


def test_average_precision_and_auc_of_a_hand_made_ranking():
    fraud, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])
    assert average_precision(fraud, scores) == pytest.approx((1 + 2 / 3) / 2)
    assert area_under_roc(fraud, scores) == pytest.approx(3 / 4)


def test_figures_without_fraud_are_nan():
    honest = np.zeros(3, bool)
    assert math.isnan(average_precision(honest, np.ones(3)))
    assert math.isnan(area_under_roc(honest, np.ones(3)))


def test_alerts_are_the_highest_scores_within_the_budget_even_with_ties():
    assert alerts_at(np.array([0.1, 0.9, 0.5, 0.9]), 0.5).tolist() == [False, True, False, True]
    assert alerts_at(np.zeros(100), 0.05).sum() == 5


def test_recall_by_group_leaves_out_what_has_none():
    alerts = np.array([True, False, True, True])
    assert recall_by_group(alerts, ["a", "a", None, "b"]) == {"a": 0.5, "b": 1.0}
