"""A decision's reasons as sentences for people. Pure."""

import math
from collections.abc import Sequence
from typing import Final

from stream_features.catalogue.features import DAY, DISTINCT_CAP, FEATURES, HOUR, MINUTE, NAMES, Feature
from stream_features.catalogue.wording import ENTITY_UNKNOWN, wording_of

CHANNEL_WORDING: Final = (
    "in a shop",
    "online",
    "at a cash machine",
    "a recurring payment",
    "by mail or telephone",
)
"""In the order of `CHANNELS`."""
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SPANS: Final = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"))


def sentences(reasons: Sequence[str], vector: Sequence[float | None]) -> list[str]:
    """One sentence for each reason, in the same order.

    Args:
        reasons: names of features, as a decision has them.
        vector: the decision's features, in catalogue order; None or nan where one is null.

    A reason of another catalogue is rendered by its name, with spaces.
    """
    return [
        sentence(FEATURES[NAMES.index(name)], vector[NAMES.index(name)])
        if name in NAMES and len(vector) == len(NAMES)
        else name.replace("_", " ").capitalize()
        for name in reasons
    ]


def sentence(feature: Feature, value: float | None) -> str:
    """The sentence for a value of a feature."""
    wording, window_ms = wording_of(feature), feature.window_ms
    if value is None or math.isnan(value):
        text = (
            wording.unknown
            or ENTITY_UNKNOWN.get(feature.entity)
            or f"Not known: {feature.description.rstrip('.')}"
        )
        return text.format(window=_window(window_ms))
    text = wording.plain
    if wording.high and value >= wording.high_from.get(window_ms, math.inf):
        text = wording.high
    elif wording.low and value <= wording.low_to.get(window_ms, -math.inf):
        text = wording.low
    return text.format(value=_value(feature, value), window=_window(window_ms))


def _window(ms: int) -> str:
    """The words after "in the last": 3,600,000 is "hour", 86,400,000 is "24 hours"."""
    if ms == DAY:
        return "24 hours"
    size, unit = next(((size, unit) for size, unit in SPANS if ms >= size), (1, "millisecond"))
    return unit if ms == size else f"{ms / size:g} {unit}s"


def _value(feature: Feature, value: float) -> str:
    if feature.name == "channel":
        return CHANNEL_WORDING[int(value)]
    if feature.name == "day_of_week":
        return WEEKDAYS[int(value)]
    if feature.name == "hour_of_day":
        return f"{int(value):02}:{int(value % 1 * 60):02} UTC"
    if feature.aggregate == "distinct" and value >= DISTINCT_CAP:
        return f"{DISTINCT_CAP} or more"
    if feature.aggregate == "fraud_rate":
        return f"{100 * value:.2g} %"
    if feature.aggregate == "since_last":
        return _duration(value)
    match feature.unit:
        case "cents":
            return f"{value / 100:,.2f}"
        case "1":
            return f"{value:.2g}" if value < 10 else f"{value:,.0f}"
        case "km/h":
            return f"{value:,.0f} km/h"
        case "code":
            return f"{value:.0f}"
        case _:
            return f"{value:,.0f}"


def _duration(seconds: float) -> str:
    """A time in the largest unit of which it holds at least two: 5,400 s are "90 minutes"."""
    for ms, unit in SPANS:
        if seconds * 1000 >= 2 * ms:
            return f"{seconds * 1000 / ms:.0f} {unit}s"
    return f"{seconds:.0f} second{'s' * (round(seconds) != 1)}"
