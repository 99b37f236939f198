"""The wording of each feature, as data, for an agent of cardholder services who knows no models.

A wording is a whole sentence, in which `{value}` and `{window}` stand for the value and its window. Which
sentence fits depends on the value, as a feature may point to fraud by being high, low or unknown. The value
from which a feature is called high is a judgement: about one honest payment in fifty of the synthetic world
reaches it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from stream_features.catalogue.features import DAY, HOUR, MINUTE, Feature

WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY


@dataclass(frozen=True)
class Wording:
    """The sentences of the features that differ only in their window."""

    plain: str
    high: str = ""
    high_from: Mapping[int, float] = field(default_factory=dict)
    """By window, ms; 0 for a feature without one. Infinity where no value is high. A window that is neither
    here nor in `low_to` gets the plain sentence, and `unworded` reports it."""
    low: str = ""
    low_to: Mapping[int, float] = field(default_factory=dict)
    unknown: str = ""
    """The sentence for a null value; empty for that of the entity."""


REQUEST_WORDINGS: Final = {
    "amount": Wording(
        "The amount: {value}",
        "A large amount: {value}", {0: 30_000},
        "A very small amount, as when a card is tried out: {value}", {0: 250},
        unknown="The amount is not known",
    ),
    "amount_is_round": Wording(
        "The amount is not round", "The amount is round", {0: 1},
        unknown="The amount is not known",
    ),
    "hour_of_day": Wording("The time of day: {value}", unknown="The time is not known"),
    "day_of_week": Wording("The day of the week: {value}", unknown="The day is not known"),
    "channel": Wording(
        "The way of paying: {value}",
        unknown="It is not known how the payment was made",
    ),
    "mcc": Wording(
        "The kind of merchant: category {value}",
        unknown="The kind of merchant is not known"
    ),
    "country_bucket": Wording(
        "The country of the payment adds to the risk",
        unknown="The country of the payment is not known"
    ),
    "mcc_country_bucket": Wording(
        "This kind of merchant in this country adds to the risk",
        unknown="The country or the kind of merchant is not known",
    ),
    "merchant_bucket": Wording(
        "The merchant adds to the risk", unknown="The payment names no merchant"
    ),
    "ip_bucket": Wording(
        "The network that the payment came from adds to the risk",
        unknown="It is not known which network the payment came from",
    ),
}  # fmt: skip
"""By name."""

ENTITY_UNKNOWN: Final = {
    "card": "It is not known what was paid with this card in the last {window}",
    "device": "It is not known what was paid from the payment's device in the last {window}",
    "merchant": "It is not known what was paid at the payment's merchant in the last {window}",
    "ip": "It is not known what was paid from the payment's internet address in the last {window}",
}
"""By entity, where the payment names none or its state cannot be read."""

WINDOW_WORDINGS: Final = {
    ("card", "count", ""): Wording(
        "Payments with this card: {value} in the last {window}",
        "Many payments with this card: {value} in the last {window}",
        {MINUTE: 2, 5 * MINUTE: 3, HOUR: 4, DAY: 13, WEEK: 65, MONTH: 260},
        "Few payments with this card: {value} in the last {window}", {WEEK: 3, MONTH: 15},
    ),
    ("card", "sum", ""): Wording(
        "Spent with this card: {value} in the last {window}",
        "Much spent with this card: {value} in the last {window}",
        {HOUR: 45_000, DAY: 120_000, WEEK: 480_000},
    ),
    ("card", "mean", ""): Wording(
        "Average payment with this card: {value} in the last {window}",
        "Large payments with this card: {value} on average in the last {window}",
        {DAY: 22_000, MONTH: 12_500},
    ),
    ("card", "std", ""): Wording(
        "Amounts paid with this card differ by about {value} in the last {window}",
        "Amounts paid with this card differ much: by about {value} in the last {window}", {MONTH: 32_000},
    ),
    ("card", "max", ""): Wording(
        "Largest payment with this card: {value} in the last {window}",
        "A large payment with this card: {value} in the last {window}", {DAY: 75_000, MONTH: 280_000},
    ),
    ("card", "distinct", "merchant"): Wording(
        "Merchants paid with this card: {value} in the last {window}",
        "Many different merchants paid with this card: {value} in the last {window}",
        {HOUR: 3, DAY: 10, WEEK: 28},
        "Few different merchants paid with this card: {value} in the last {window}", {WEEK: 3},
    ),
    ("card", "distinct", "device"): Wording(
        "Devices that paid with this card: {value} in the last {window}",
        "Many different devices paid with this card: {value} in the last {window}", {DAY: 3, MONTH: 8},
    ),
    ("card", "since_last", ""): Wording(
        "The payment before with this card: {value} earlier",
        "The card was not used for long: the payment before was {value} earlier", {MONTH: 4 * 86_400},
        "The card was used just before: {value} earlier", {MONTH: 600},
        unknown="No payment with this card in the last {window} before this one",
    ),
    ("card", "speed", ""): Wording(
        "From the place of the card's payment before: a journey at {value}",
        "The card can hardly have travelled here from its payment before: a journey at {value}", {MONTH: 900},
        unknown="It is not known where this payment or the card's payment before was made",
    ),
    ("card", "ratio_to_mean", ""): Wording(
        "Beside the card's average payment: {value} times as much",
        "Much more than is usual for this card: {value} times its average payment", {MONTH: 3},
        "Much less than is usual for this card: {value} times its average payment", {MONTH: 0.1},
        unknown="Nothing was paid with this card in the last {window} before this payment",
    ),
    ("card", "same", "merchant"): Wording(
        "Earlier payments with this card at this merchant: {value} in the last {window}",
        low="The card was not used at this merchant in the last {window}", low_to={MONTH: 0},
    ),
    ("card", "same", "device"): Wording(
        "Earlier payments with this card from this device: {value} in the last {window}",
        low="The card was not used from this device in the last {window}", low_to={MONTH: 0},
    ),
    ("device", "count", ""): Wording(
        "Payments from this device: {value} in the last {window}",
        "Many payments from this device: {value} in the last {window}",
        {5 * MINUTE: 3, HOUR: 4, DAY: 9, MONTH: 190},
        "Few payments from this device: {value} in the last {window}", {MONTH: 3},
    ),
    ("device", "sum", ""): Wording(
        "Spent from this device: {value} in the last {window}",
        "Much spent from this device: {value} in the last {window}", {DAY: 90_000},
    ),
    ("device", "max", ""): Wording(
        "Largest payment from this device: {value} in the last {window}",
        "A large payment from this device: {value} in the last {window}", {DAY: 70_000},
    ),
    ("device", "distinct", "card"): Wording(
        "Cards that were used from this device: {value} in the last {window}",
        "Several cards were used from this device: {value} in the last {window}",
        {HOUR: 2, DAY: 3, MONTH: 3},
    ),
    ("device", "distinct", "merchant"): Wording(
        "Merchants paid from this device: {value} in the last {window}",
        "Many different merchants paid from this device: {value} in the last {window}",
        {HOUR: 3, DAY: 7},
    ),
    ("device", "since_last", ""): Wording(
        "The payment before from this device: {value} earlier",
        "The device was not used for long: the payment before was {value} earlier", {MONTH: 10 * 86_400},
        "The device was used just before: {value} earlier", {MONTH: 600},
        unknown="No payment from a known device in the last {window} before this one",
    ),
    ("device", "same", "card"): Wording(
        "Earlier payments from this device with this card: {value} in the last {window}",
        low="The device was not used with this card in the last {window}", low_to={MONTH: 0},
    ),
    ("merchant", "count", ""): Wording(
        "Payments at this merchant: {value} in the last {window}",
        "Many payments at this merchant: {value} in the last {window}",
        {MINUTE: 3, HOUR: 16, DAY: 280, WEEK: 1_800},
        "Few payments at this merchant: {value} in the last {window}", {DAY: 3, WEEK: 20},
    ),
    ("merchant", "mean", ""): Wording(
        "Average payment at this merchant: {value} in the last {window}",
        "Large payments at this merchant: {value} on average in the last {window}",
        {DAY: 30_000, MONTH: 30_000},
    ),
    ("merchant", "max", ""): Wording(
        "Largest payment at this merchant: {value} in the last {window}",
        "A large payment at this merchant: {value} in the last {window}", {DAY: 200_000},
    ),
    ("merchant", "ratio_to_mean", ""): Wording(
        "Beside the merchant's average payment: {value} times as much",
        "Much more than is usual at this merchant: {value} times the average payment there", {MONTH: 3},
        "Much less than is usual at this merchant: {value} times the average payment there", {MONTH: 0.1},
        unknown="Nothing was paid at a known merchant in the last {window} before this payment",
    ),
    ("merchant", "distinct", "card"): Wording(
        "Cards that paid at this merchant: {value} in the last {window}",
        "Many different cards paid at this merchant: {value} in the last {window}", {HOUR: 14},
        "Few different cards paid at this merchant: {value} in the last {window}", {DAY: 3},
    ),
    ("merchant", "fraud_rate", ""): Wording(
        "Fraud at this merchant: an estimated {value} of the payments of the last {window}",
        "Much fraud at this merchant: an estimated {value} of the payments of the last {window}",
        {WEEK: 0.02, MONTH: 0.02},
    ),
    ("ip", "count", ""): Wording(
        "Payments from this internet address: {value} in the last {window}",
        "Many payments from this internet address: {value} in the last {window}",
        {MINUTE: 2, HOUR: 4, DAY: 22},
    ),
    ("ip", "distinct", "card"): Wording(
        "Cards that were used from this internet address: {value} in the last {window}",
        "Many different cards were used from this internet address: {value} in the last {window}",
        {HOUR: 4, DAY: 16, WEEK: 43},
    ),
}  # fmt: skip
"""By entity, aggregate and counterpart."""


def wording_of(feature: Feature) -> Wording:
    """A feature's wording; one made of its description where there is none."""
    wording = REQUEST_WORDINGS.get(feature.name) or WINDOW_WORDINGS.get(feature.family)
    return wording or Wording(f"{feature.description.rstrip('.')}: {{value}}")


def unworded(features: Iterable[Feature]) -> list[str]:
    """Names of the features that have no wording, or one that does not know which values of their window are
    high or low."""
    return [feature.name for feature in features if not _is_worded(feature)]


def _is_worded(feature: Feature) -> bool:
    if feature.name not in REQUEST_WORDINGS and feature.family not in WINDOW_WORDINGS:
        return False
    wording = wording_of(feature)
    judges = bool(wording.high or wording.low)
    return not judges or feature.window_ms in {*wording.high_from, *wording.low_to}
