"""The features, as data. A new feature is one line here; every engine and the model manifest follow.

A window feature is (entity, aggregate, window W, tail resolution r, head resolution h) over the valid,
unique events with `floor_r(now - W) <= ts < floor_h(now)`, plus the transaction at hand once where the
aggregate includes it. Strictly before `now`: so it does not matter whether the transaction at hand has
been folded already, and equal timestamps need no order.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

CATALOGUE_VERSION: Final = 1
SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

Entity = Literal["card", "merchant", "request"]

AGGREGATES: Final = (
    "count", "sum", "mean", "std", "max", "distinct_merchants",
    "since_last", "speed", "ratio_to_mean", "fraud_rate",
)  # fmt: skip
"""The aggregates over windows; a code is a place in this tuple."""
CODE: Final = {name: code for code, name in enumerate(AGGREGATES)}

DISTINCT_CAP: Final = 64
"""`distinct` is min(64, true count)."""
RISK_PRIOR: Final = 0.003
RISK_WEIGHT: Final = 20.0
"""fraud_rate = (known frauds + 20 · 0.003) / (transactions + 20)."""
LABEL_MEMORY: Final = 120 * DAY
"""A label known longer ago than this has no part in any feature."""


@dataclass(frozen=True)
class Feature:
    """One feature: what it is, over which window, at which resolutions (ms), in which unit."""

    name: str
    entity: Entity
    aggregate: str
    window_ms: int = 0
    tail_ms: int = 1
    head_ms: int = 1
    unit: str = ""
    description: str = ""


def _card(name: str, aggregate: str, window_ms: int, unit: str, description: str) -> Feature:
    return Feature(name, "card", aggregate, window_ms, 1, 1, unit, description)


MERCHANT_TAIL: Final = {
    MINUTE: SECOND,
    5 * MINUTE: 5 * SECOND,
    HOUR: MINUTE,
    DAY: 20 * MINUTE,
    7 * DAY: 2 * HOUR,
    30 * DAY: 12 * HOUR,
}
"""Tail resolution of each merchant window, about W/60; each divides the next, so tiles merge without loss."""


def _merchant(name: str, aggregate: str, window_ms: int, unit: str, description: str) -> Feature:
    return Feature(
        name, "merchant", aggregate, window_ms, MERCHANT_TAIL[window_ms], SECOND, unit, description
    )


def _request(name: str, unit: str, description: str) -> Feature:
    return Feature(name, "request", name, unit=unit, description=description)


FEATURES: Final[tuple[Feature, ...]] = (
    _request("amount", "cents", "Amount of the transaction."),
    _request("hour_of_day", "h", "Hour of the event time, UTC, with its fraction."),
    _request("day_of_week", "day", "0 is Monday, UTC."),
    _request("channel", "code", "Place in (pos, ecommerce, atm, recurring, moto)."),
    _request("mcc", "code", "Merchant category code."),
    _request("country_bucket", "bucket", "Country hashed into 64 buckets."),
    _card("card_count_1m", "count", MINUTE, "tx", "Transactions of the card in 1 minute."),
    _card("card_count_5m", "count", 5 * MINUTE, "tx", "Transactions of the card in 5 minutes."),
    _card("card_count_1h", "count", HOUR, "tx", "Transactions of the card in 1 hour."),
    _card("card_count_24h", "count", DAY, "tx", "Transactions of the card in 24 hours."),
    _card("card_count_7d", "count", 7 * DAY, "tx", "Transactions of the card in 7 days."),
    _card("card_count_30d", "count", 30 * DAY, "tx", "Transactions of the card in 30 days."),
    _card("card_sum_1h", "sum", HOUR, "cents", "Spend of the card in 1 hour."),
    _card("card_sum_24h", "sum", DAY, "cents", "Spend of the card in 24 hours."),
    _card("card_sum_7d", "sum", 7 * DAY, "cents", "Spend of the card in 7 days."),
    _card("card_mean_24h", "mean", DAY, "cents", "Mean amount of the card in 24 hours."),
    _card("card_mean_30d", "mean", 30 * DAY, "cents", "Mean amount of the card in 30 days."),
    _card("card_std_30d", "std", 30 * DAY, "cents", "Population standard deviation over 30 days."),
    _card("card_max_24h", "max", DAY, "cents", "Largest amount of the card in 24 hours."),
    _card("card_max_30d", "max", 30 * DAY, "cents", "Largest amount of the card in 30 days."),
    _card("card_merchants_1h", "distinct_merchants", HOUR, "merchants", "Distinct merchants in 1 hour."),
    _card("card_merchants_24h", "distinct_merchants", DAY, "merchants", "Distinct merchants in 24 hours."),
    _card("card_merchants_7d", "distinct_merchants", 7 * DAY, "merchants", "Distinct merchants in 7 days."),
    _card("card_since_last", "since_last", 30 * DAY, "s", "Time since the card's previous transaction."),
    _card("card_speed", "speed", 30 * DAY, "km/h", "Speed from the card's previous place."),
    _card("card_ratio_30d", "ratio_to_mean", 30 * DAY, "1", "Amount over the card's own mean before."),
    _merchant("merchant_count_1m", "count", MINUTE, "tx", "Transactions at the merchant in 1 minute."),
    _merchant("merchant_count_1h", "count", HOUR, "tx", "Transactions at the merchant in 1 hour."),
    _merchant("merchant_count_24h", "count", DAY, "tx", "Transactions at the merchant in 24 hours."),
    _merchant("merchant_count_7d", "count", 7 * DAY, "tx", "Transactions at the merchant in 7 days."),
    _merchant("merchant_mean_24h", "mean", DAY, "cents", "Mean amount at the merchant in 24 hours."),
    _merchant("merchant_mean_30d", "mean", 30 * DAY, "cents", "Mean amount at the merchant in 30 days."),
    _merchant("merchant_max_24h", "max", DAY, "cents", "Largest amount at the merchant in 24 hours."),
    _merchant("merchant_ratio_30d", "ratio_to_mean", 30 * DAY, "1", "Amount over the merchant's own mean."),
    _merchant("merchant_fraud_7d", "fraud_rate", 7 * DAY, "1", "Known fraud rate over 7 days, smoothed."),
    _merchant("merchant_fraud_30d", "fraud_rate", 30 * DAY, "1", "Known fraud rate over 30 days, smoothed."),
)

NAMES: Final = tuple(feature.name for feature in FEATURES)
WINDOWED: Final[tuple[Entity, ...]] = ("card", "merchant")
"""The entities that have state."""


def columns(entity: Entity) -> npt.NDArray[np.int64]:
    """Places of an entity's features in the vector, shape (n,)."""
    return np.array([i for i, f in enumerate(FEATURES) if f.entity == entity], dtype=np.int64)


def specification(entity: Entity) -> npt.NDArray[np.int64]:
    """What the kernel needs of an entity's features, shape (n, 4): code, window, tail, head (ms)."""
    rows = [(CODE[f.aggregate], f.window_ms, f.tail_ms, f.head_ms) for f in FEATURES if f.entity == entity]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def catalogue_hash() -> str:
    """Changes with whatever changes a feature's value or the order of the vector."""
    document = {
        "version": CATALOGUE_VERSION,
        "features": [{k: v for k, v in asdict(f).items() if k != "description"} for f in FEATURES],
        "aggregates": AGGREGATES,
        "constants": [DISTINCT_CAP, RISK_PRIOR, RISK_WEIGHT, LABEL_MEMORY],
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


HASH: Final = catalogue_hash()
