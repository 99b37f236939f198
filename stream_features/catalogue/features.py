"""The features, as data. A new feature is one line here; every engine and the model manifest follow.

A window feature is (entity, aggregate, window W, tail resolution r, head resolution h) over the valid,
unique events with `floor_r(now - W) <= ts < floor_h(now)`, plus the transaction at hand once where the
aggregate includes it. State counts strictly before `now`: so it does not matter whether the transaction at
hand has been folded already, and equal timestamps need no order.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

import numpy as np

from fraudsim.arrays import Ints

CATALOGUE_VERSION: Final = 2
SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

Entity = Literal["request", "card", "device", "merchant", "ip"]

KEY_FIELD: Final = {"card": "card_id", "device": "device_id", "merchant": "merchant_id", "ip": "ip"}
"""The transaction's field that holds an entity's key."""
WINDOWED: Final = tuple(KEY_FIELD)
"""The entities that have state, in the order in which states, keys and slots are listed."""
EXACT: Final = ("card", "device")
"""Entities that keep the transactions of the longest window, `MAX_ROWS` at most; the others keep tiles."""
LABELLED: Final = ("merchant",)
"""The entities whose state holds labels too."""
COUNTERPARTS: Final[dict[str, tuple[str, ...]]] = {
    "card": ("merchant", "device"),
    "device": ("card", "merchant"),
    "merchant": ("card",),
    "ip": ("card",),
}
"""The counterparts of a transaction that an entity's state keeps: two in an exact one, one in the others."""

DISTINCT_CAP: Final = 64
"""`distinct` is min(64, true count)."""
RISK_PRIOR: Final = 0.003
RISK_WEIGHT: Final = 20.0
"""fraud_rate = (known frauds + 20 · 0.003) / (transactions + 20)."""
LABEL_MEMORY: Final = 120 * DAY
"""A label known longer ago than this does not count in any feature."""
LONGEST: Final = 30 * DAY
"""The longest window."""
HEAD: Final = SECOND
"""Head resolution of tiles."""
TAIL_RESOLUTION: Final = {
    MINUTE: SECOND,
    5 * MINUTE: 5 * SECOND,
    HOUR: MINUTE,
    DAY: 20 * MINUTE,
    7 * DAY: 2 * HOUR,
    LONGEST: 12 * HOUR,
}
"""Tail resolution of each window over tiles, about W/60; each divides the next, so tiles merge exactly."""
MAX_ROWS: Final = 2_048
"""Most transactions that a key of an exact entity keeps: more in 30 days than any person makes."""
MAX_LABELS: Final = 4_096
"""Most labels that a key keeps."""
EARTH_KM: Final = 6371.0088
"""Mean radius of the Earth (IUGG), for distances."""
PLACE_STEPS: Final = 100_000
"""Locations are rounded to 1/100,000 of a degree, about 1 m, from the south pole and from 180° west."""
CHANNELS: Final = ("pos", "ecommerce", "atm", "recurring", "moto")
ROUND_CENTS: Final = 1_000
COUNTRY_BUCKETS: Final = 64
BUCKETS: Final = 256


@dataclass(frozen=True)
class Aggregate:
    """A computation over a window: its unit, and when it has no value."""

    unit: str
    null: str = ""
    """When the value is null; empty where a window without transactions has a value too."""


AGGREGATES: Final = {
    "count": Aggregate("tx"),
    "sum": Aggregate("cents"),
    "mean": Aggregate("cents"),
    "std": Aggregate("cents"),
    "max": Aggregate("cents"),
    "distinct": Aggregate(""),
    "same": Aggregate("tx", "the transaction has no {counterpart}"),
    "since_last": Aggregate("s", "there is no earlier transaction in the window"),
    "speed": Aggregate("km/h", "the transaction, or every earlier one in the window, has no place"),
    "ratio_to_mean": Aggregate("1", "nothing was spent in the window before"),
    "fraud_rate": Aggregate("1"),
}
"""`same` counts earlier transactions with the counterpart of the one at hand. `same`, since_last, speed and
ratio_to_mean consider only earlier transactions; count, sum, mean, std, max and distinct include the
transaction at hand."""


@dataclass(frozen=True)
class Feature:
    """One feature: its aggregate, window and resolutions (ms), unit, meaning, and when it is null."""

    name: str
    entity: Entity
    aggregate: str
    window_ms: int = 0
    tail_ms: int = 1
    head_ms: int = 1
    counterpart: str = ""
    unit: str = ""
    description: str = ""
    null: str = ""
    """When the value is null, in one sentence; empty for never."""

    @property
    def family(self) -> tuple[str, str, str]:
        """What the features share that differ only in their window: entity, aggregate, counterpart."""
        return self.entity, self.aggregate, self.counterpart


def _request(name: str, unit: str, description: str, null: str = "") -> Feature:
    return Feature(name, "request", name, unit=unit, description=description, null=null)


def _window(
    entity: Entity, name: str, aggregate: str, window_ms: int, description: str, counterpart: str = ""
) -> Feature:
    definition = AGGREGATES[aggregate]
    absent = "" if entity == "card" else f"the transaction has no {entity}"
    null = ", or ".join(filter(None, (absent, definition.null.format(counterpart=counterpart))))
    tail, head = (1, 1) if entity in EXACT else (TAIL_RESOLUTION[window_ms], HEAD)
    unit = definition.unit or f"{counterpart}s"
    return Feature(
        name, entity, aggregate, window_ms, tail, head, counterpart, unit, description,
        null and f"{null[0].upper()}{null[1:]}.",
    )  # fmt: skip


FEATURES: Final[tuple[Feature, ...]] = (
    _request("amount", "cents", "Amount of the transaction."),
    _request("amount_is_round", "flag", "1 where the amount is a multiple of 1,000 cents, else 0."),
    _request("hour_of_day", "h", "Hour of the event time, UTC, with its fraction."),
    _request("day_of_week", "day", "0 is Monday, UTC."),
    _request("channel", "code", "Index in (pos, ecommerce, atm, recurring, moto).", "There is no channel."),
    _request("mcc", "code", "Merchant category code.", "There is no category code."),
    _request("country_bucket", "bucket", "Country hashed into 64 buckets.", "There is no country."),
    _request("mcc_country_bucket", "bucket", "Category code and country hashed into 256 buckets.",
             "There is no category code or no country."),
    _request("merchant_bucket", "bucket", "Merchant hashed into 256 buckets.", "There is no merchant."),
    _request("ip_bucket", "bucket", "First half of an IPv4 address, or another one, in 256 buckets.",
             "There is no address."),
    _window("card", "card_count_1m", "count", MINUTE, "Transactions of the card in 1 minute."),
    _window("card", "card_count_5m", "count", 5 * MINUTE, "Transactions of the card in 5 minutes."),
    _window("card", "card_count_1h", "count", HOUR, "Transactions of the card in 1 hour."),
    _window("card", "card_count_24h", "count", DAY, "Transactions of the card in 24 hours."),
    _window("card", "card_count_7d", "count", 7 * DAY, "Transactions of the card in 7 days."),
    _window("card", "card_count_30d", "count", 30 * DAY, "Transactions of the card in 30 days."),
    _window("card", "card_sum_1h", "sum", HOUR, "Spend of the card in 1 hour."),
    _window("card", "card_sum_24h", "sum", DAY, "Spend of the card in 24 hours."),
    _window("card", "card_sum_7d", "sum", 7 * DAY, "Spend of the card in 7 days."),
    _window("card", "card_mean_24h", "mean", DAY, "Mean amount of the card in 24 hours."),
    _window("card", "card_mean_30d", "mean", 30 * DAY, "Mean amount of the card in 30 days."),
    _window("card", "card_std_30d", "std", 30 * DAY, "Population standard deviation over 30 days."),
    _window("card", "card_max_24h", "max", DAY, "Largest amount of the card in 24 hours."),
    _window("card", "card_max_30d", "max", 30 * DAY, "Largest amount of the card in 30 days."),
    _window("card", "card_merchants_1h", "distinct", HOUR, "Distinct merchants in 1 hour.", "merchant"),
    _window("card", "card_merchants_24h", "distinct", DAY, "Distinct merchants in 24 hours.", "merchant"),
    _window("card", "card_merchants_7d", "distinct", 7 * DAY, "Distinct merchants in 7 days.", "merchant"),
    _window("card", "card_devices_24h", "distinct", DAY, "Distinct devices in 24 hours.", "device"),
    _window("card", "card_devices_30d", "distinct", 30 * DAY, "Distinct devices in 30 days.", "device"),
    _window("card", "card_since_last", "since_last", 30 * DAY, "Time since the card's previous transaction."),
    _window("card", "card_speed", "speed", 30 * DAY, "Speed from the card's previous place."),
    _window("card", "card_ratio_30d", "ratio_to_mean", 30 * DAY, "Amount over the card's own mean before."),
    _window("card", "card_same_merchant_30d", "same", 30 * DAY, "Earlier ones at this merchant.", "merchant"),
    _window("card", "card_same_device_30d", "same", 30 * DAY, "Earlier ones from this device.", "device"),
    _window("device", "device_count_5m", "count", 5 * MINUTE, "Transactions of the device in 5 minutes."),
    _window("device", "device_count_1h", "count", HOUR, "Transactions of the device in 1 hour."),
    _window("device", "device_count_24h", "count", DAY, "Transactions of the device in 24 hours."),
    _window("device", "device_count_30d", "count", 30 * DAY, "Transactions of the device in 30 days."),
    _window("device", "device_sum_24h", "sum", DAY, "Spend from the device in 24 hours."),
    _window("device", "device_max_24h", "max", DAY, "Largest amount from the device in 24 hours."),
    _window("device", "device_cards_1h", "distinct", HOUR, "Distinct cards in 1 hour.", "card"),
    _window("device", "device_cards_24h", "distinct", DAY, "Distinct cards in 24 hours.", "card"),
    _window("device", "device_cards_30d", "distinct", 30 * DAY, "Distinct cards in 30 days.", "card"),
    _window("device", "device_merchants_1h", "distinct", HOUR, "Distinct merchants in 1 hour.", "merchant"),
    _window("device", "device_merchants_24h", "distinct", DAY, "Distinct merchants in 24 hours.", "merchant"),
    _window("device", "device_since_last", "since_last", 30 * DAY, "Time since its previous transaction."),
    _window("device", "device_same_card_30d", "same", 30 * DAY, "Earlier ones with this card.", "card"),
    _window("merchant", "merchant_count_1m", "count", MINUTE, "Transactions at the merchant in 1 minute."),
    _window("merchant", "merchant_count_1h", "count", HOUR, "Transactions at the merchant in 1 hour."),
    _window("merchant", "merchant_count_24h", "count", DAY, "Transactions at the merchant in 24 hours."),
    _window("merchant", "merchant_count_7d", "count", 7 * DAY, "Transactions at the merchant in 7 days."),
    _window("merchant", "merchant_mean_24h", "mean", DAY, "Mean amount at the merchant in 24 hours."),
    _window("merchant", "merchant_mean_30d", "mean", 30 * DAY, "Mean amount at the merchant in 30 days."),
    _window("merchant", "merchant_max_24h", "max", DAY, "Largest amount at the merchant in 24 hours."),
    _window("merchant", "merchant_ratio_30d", "ratio_to_mean", 30 * DAY, "Amount over the merchant's mean."),
    _window("merchant", "merchant_cards_1h", "distinct", HOUR, "Distinct cards in 1 hour.", "card"),
    _window("merchant", "merchant_cards_24h", "distinct", DAY, "Distinct cards in 24 hours.", "card"),
    _window("merchant", "merchant_fraud_7d", "fraud_rate", 7 * DAY, "Known fraud rate in 7 days."),
    _window("merchant", "merchant_fraud_30d", "fraud_rate", 30 * DAY, "Known fraud rate in 30 days."),
    _window("ip", "ip_count_1m", "count", MINUTE, "Transactions from the address in 1 minute."),
    _window("ip", "ip_count_1h", "count", HOUR, "Transactions from the address in 1 hour."),
    _window("ip", "ip_count_24h", "count", DAY, "Transactions from the address in 24 hours."),
    _window("ip", "ip_cards_1h", "distinct", HOUR, "Distinct cards in 1 hour.", "card"),
    _window("ip", "ip_cards_24h", "distinct", DAY, "Distinct cards in 24 hours.", "card"),
    _window("ip", "ip_cards_7d", "distinct", 7 * DAY, "Distinct cards in 7 days.", "card"),
)  # fmt: skip

NAMES: Final = tuple(feature.name for feature in FEATURES)


def feature_indexes(entity: str) -> Ints:
    """Indexes of an entity's features in the vector, shape (n,)."""
    return np.array([i for i, f in enumerate(FEATURES) if f.entity == entity], dtype=np.int64)


def catalogue_hash(features: tuple[Feature, ...] = FEATURES) -> str:
    """Hash of the features in order, aggregates, counterparts, and the constants of windows and labels.

    Raise `CATALOGUE_VERSION` with a change of anything else that determines a value: a formula, a bound, the
    buckets, the channels.
    """
    prose_fields = ("description", "null")
    document = {
        "version": CATALOGUE_VERSION,
        "features": [{k: v for k, v in asdict(f).items() if k not in prose_fields} for f in features],
        "aggregates": list(AGGREGATES),
        "counterparts": COUNTERPARTS,
        "constants": [
            DISTINCT_CAP,
            RISK_PRIOR,
            RISK_WEIGHT,
            LABEL_MEMORY,
            LONGEST,
            HEAD,
            list(TAIL_RESOLUTION.items()),
        ],
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


HASH: Final = catalogue_hash()
