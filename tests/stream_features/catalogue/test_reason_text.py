"""Every feature of the catalogue has a sentence for people, and the sentence is true of the value."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from stream_features.catalogue import reason_text as module
from stream_features.catalogue.features import DAY, FEATURES, NAMES, Feature
from stream_features.catalogue.reason_text import sentence, sentences
from stream_features.catalogue.wording import REQUEST_WORDINGS, WINDOW_WORDINGS, unworded
from stream_features.vector import CHANNELS

JARGON = re.compile(
    r"[{}_]|\b(nan|null|none|bucket|hash|mcc|ip|feature|velocity|distinct|standard deviation|population|std|"
    r"window|entity|cents|ratio|score|model|vector|tx|flag|code|ms)\b",
    re.IGNORECASE,
)
VALUES = [None, math.nan, 0.0, 1.0, 3.0, 4.0, 64.0, 1234.5, 2e6, 3e8]


def feature(name):
    return FEATURES[NAMES.index(name)]


def values_of(one):
    most = {"channel": 4, "day_of_week": 6, "hour_of_day": 23.99, "amount_is_round": 1}.get(
        one.name, math.inf
    )
    return [value for value in VALUES if value is None or not value > most]


@pytest.mark.parametrize("one", FEATURES, ids=lambda one: one.name)
def test_every_feature_is_a_sentence_without_jargon_whatever_its_value(one):
    for value in values_of(one):
        text = sentence(one, value)
        assert re.match(r"[A-Z][a-z ]", text), text
        assert not JARGON.search(text.removesuffix(" UTC")), text
        assert len(text) < 110, text
        assert "  " not in text


def test_no_wording_is_left_over_from_a_removed_feature():
    assert set(REQUEST_WORDINGS) == {f.name for f in FEATURES if f.entity == "request"}
    assert set(WINDOW_WORDINGS) == {f.family for f in FEATURES if f.entity != "request"}
    for family, wording in WINDOW_WORDINGS.items():
        windows = {f.window_ms for f in FEATURES if f.family == family}
        assert {*wording.high_from, *wording.low_to} <= windows


def test_the_wording_knows_every_window_and_reports_one_that_it_does_not_know():
    assert unworded(FEATURES) == []
    two_days = Feature("card_count_2d", "card", "count", 2 * DAY, description="Payments in 2 days.")
    of_the_device = replace(two_days, name="device_sum_2d", entity="device", aggregate="sum")
    refunds = replace(two_days, name="card_refunds_24h", aggregate="refunds", window_ms=DAY)
    shoe = replace(two_days, name="shoe_size", entity="request", aggregate="shoe_size", window_ms=0)
    added = (two_days, of_the_device, refunds, shoe)
    assert unworded((*FEATURES, *added)) == [f.name for f in added]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("card_count_1h", 7, "Many payments with this card: 7 in the last hour"),
        ("card_count_1h", 4, "Many payments with this card: 4 in the last hour"),
        ("card_count_1h", 3, "Payments with this card: 3 in the last hour"),
        ("card_count_1h", 1, "Payments with this card: 1 in the last hour"),
        ("card_count_30d", 100, "Payments with this card: 100 in the last 30 days"),
        ("card_sum_24h", 152_000, "Much spent with this card: 1,520.00 in the last 24 hours"),
        ("card_since_last", 130, "The card was used just before: 2 minutes earlier"),
        ("card_since_last", 40, "The card was used just before: 40 seconds earlier"),
        ("card_since_last", 90_000, "The payment before with this card: 25 hours earlier"),
        ("card_since_last", None, "No payment with this card in the last 30 days before this one"),
        ("card_speed", 22.6, "From the place of the card's payment before: a journey at 23 km/h"),
        ("card_ratio_30d", 7.42, "Much more than is usual for this card: 7.4 times its average payment"),
        ("card_same_merchant_30d", 0, "The card was not used at this merchant in the last 30 days"),
        ("merchant_cards_24h", 64, "Cards that paid at this merchant: 64 or more in the last 24 hours"),
        ("card_max_24h", 800_00, "A large payment with this card: 800.00 in the last 24 hours"),
        ("amount", 160, "A very small amount, as when a card is tried out: 1.60"),
        ("hour_of_day", 3.5, "The time of day: 03:30 UTC"),
        ("day_of_week", 6, "The day of the week: Sunday"),
        ("channel", 1, "The way of paying: online"),
        ("mcc", 5732, "The kind of merchant: category 5732"),
        ("ip_count_24h", 30, "Many payments from this internet address: 30 in the last 24 hours"),
    ],
)  # fmt: skip
def test_a_sentence_is_true_of_the_value(name, value, text):
    assert sentence(feature(name), value) == text


def test_the_ways_of_paying_are_in_the_order_of_the_channels():
    assert len(module.CHANNEL_WORDING) == len(CHANNELS)
    assert [module.CHANNEL_WORDING[CHANNELS.index(way)] for way in ("ecommerce", "atm")] == [
        "online",
        "at a cash machine",
    ]


def test_a_feature_without_a_wording_is_named_by_its_description():
    new = Feature("card_refunds_24h", "card", "refunds", DAY, unit="tx", description="Refunds to the card.")
    assert sentence(new, 3.0) == "Refunds to the card: 3"
    assert sentence(new, None) == "It is not known what was paid with this card in the last 24 hours"
    bare = Feature("shoe_size", "request", "shoe_size", unit="cm", description="Size of the shoe.")
    assert sentence(bare, math.nan) == "Not known: Size of the shoe"


def test_a_decision_s_reasons_keep_their_order():
    vector = [None] * len(NAMES)
    vector[NAMES.index("card_count_1m")] = 5.0
    vector[NAMES.index("amount")] = 99_900.0
    texts = sentences(["card_count_1m", "amount", "device_cards_1h"], vector)
    assert texts == [
        "Many payments with this card: 5 in the last minute",
        "A large amount: 999.00",
        "It is not known what was paid from the payment's device in the last hour",
    ]
    assert sentences([], vector) == []
    as_array = np.array([np.nan if value is None else value for value in vector], np.float32)
    assert sentences(["card_count_1m", "amount"], as_array) == texts[:2]


def test_reasons_of_another_catalogue_are_given_by_their_names():
    assert sentences(["card_refunds_24h"], [None] * len(NAMES)) == ["Card refunds 24h"]
    assert sentences(["card_count_1h"], [1.0, 2.0]) == ["Card count 1h"]
