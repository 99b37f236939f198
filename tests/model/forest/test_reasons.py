"""The features that a decision names as reasons."""

import numpy as np
import pytest

from model.forest.reasons import REASONS, SLIGHT, top_reasons
from stream_features.catalogue.features import NAMES
from stream_features.catalogue.reason_groups import REASON_GROUP
from stream_features.vector import SIZE, as_vector


def parts(**by_name):
    out = np.zeros(SIZE)
    for name, value in by_name.items():
        out[NAMES.index(name)] = value
    return out


def test_the_strongest_come_first_and_only_what_pushes_towards_fraud():
    reasons = top_reasons(parts(amount=0.5, hour_of_day=-3.0, card_speed=0.9, channel=0.2))
    assert reasons == ["card_speed", "amount", "channel"]
    assert top_reasons(parts(amount=-1.0)) == []
    assert top_reasons(np.zeros(SIZE)) == []


def test_no_more_than_are_asked_for():
    contributions = np.zeros(SIZE)
    contributions[np.unique(REASON_GROUP)] = np.linspace(1, 2, len(np.unique(REASON_GROUP)))
    assert len(top_reasons(contributions)) == REASONS == 4
    assert top_reasons(contributions, 2) == top_reasons(contributions)[:2]


def test_features_that_say_the_same_are_one_reason_named_by_the_one_that_pushes_most():
    reasons = top_reasons(parts(card_count_1h=0.4, card_count_24h=0.5, card_count_7d=0.3, amount=0.6))
    assert reasons == ["card_count_24h", "amount"]


def test_what_one_window_takes_back_does_not_count():
    reasons = top_reasons(parts(card_count_1h=1.0, card_count_30d=-0.9, amount=0.5))
    assert reasons == ["amount", "card_count_1h"]
    assert top_reasons(parts(card_count_1h=1.0, card_count_30d=-1.1, amount=0.5)) == ["amount"]


def test_what_pushes_slightly_beside_the_strongest_is_left_out():
    assert top_reasons(parts(amount=1.0, channel=SLIGHT * 1.01)) == ["amount", "channel"]
    assert top_reasons(parts(amount=1.0, channel=SLIGHT * 0.99)) == ["amount"]


def test_a_model_names_what_its_own_contributions_say(model):
    for row in map(as_vector, model.manifest.sample.rows[-8:]):
        assert model.reasons(row) == top_reasons(model.contributions(row))
    row = as_vector(model.manifest.fallback.sample.rows[-1])
    assert model.fallback.reasons(row) == top_reasons(model.fallback.contributions(row))
    assert model.contributions(row) != pytest.approx(model.fallback.contributions(row))
