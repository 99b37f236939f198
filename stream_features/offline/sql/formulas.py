"""The aggregates' formulas as SQL: what each measures over transactions, and its value from the measures."""

from typing import Final

from stream_features.catalogue.features import (
    BUCKETS,
    CHANNELS,
    COUNTRY_BUCKETS,
    DAY,
    HOUR,
    RISK_PRIOR,
    RISK_WEIGHT,
    ROUND_CENTS,
)


def double(value: float | str) -> str:
    # A literal with a point is a decimal otherwise.
    return f"CAST({value} AS DOUBLE)"


MEASURES: Final = {
    "n": ("count(*)", "sum"),
    "total": ("sum(event_amount)", "sum"),
    "shift": ("sum(CAST(event_amount - amount_cents AS {wide_integer}))", "sum"),
    "squares": (
        "sum(CAST((event_amount - amount_cents) * (event_amount - amount_cents) AS {wide_integer}))",
        "sum",
    ),
    "largest": ("max(event_amount)", "max"),
    "newest": ("max(event_ts)", "max"),
    "same": ("count(*) FILTER (WHERE event_{counterpart} = {own})", "sum"),
}
"""By measure: its SQL over a set of transactions, and the aggregate that combines it over several sets.

All are integers, so exact; sums of squares have more than 64 bits. `{own}` is the query's own counterpart.
"""
ZERO_IF_NULL: Final = ("n", "total", "shift", "squares", "same", "others", "frauds")
"""Measures that are 0 where a window is empty."""

VALUES: Final = {
    "count": "{n} + 1",
    "sum": "{total} + amount_cents",
    "mean": "({total} + amount_cents) / ({n} + 1)",
    "std": "sqrt(({n} + 1) * {squares} - {shift} * {shift}) / ({n} + 1)",
    "max": "greatest({largest}, amount_cents)",
    "distinct": "least({cap}, {others} + CASE WHEN {own} IS NULL THEN 0 ELSE 1 END)",
    "same": "CASE WHEN {own} IS NOT NULL THEN {same} END",
    "since_last": "(ts - {newest}) / 1e3",
    "speed": "CASE WHEN located_ts >= {start} THEN kilometres / ((ts - located_ts) / 3.6e6) END",
    "ratio_to_mean": "CASE WHEN {total} > 0 THEN amount_cents * {n} / {total} END",
    "fraud_rate": f"({{frauds}} + {double(RISK_WEIGHT)} * {double(RISK_PRIOR)})"
    f" / ({{n}} + {double(RISK_WEIGHT)})",
}
"""By aggregate, a feature's value from the measures of its window and the query transaction."""


def _bucket(text: str, buckets: int) -> str:
    # % has the sign of the hash; a bucket has none.
    return f"(id_hash({text}) % {buckets} + {buckets}) % {buckets}"


_CHANNEL_CODES: Final = " ".join(f"WHEN '{name}' THEN {code}" for code, name in enumerate(CHANNELS))
REQUEST: Final = {
    "amount": "amount_cents",
    "amount_is_round": f"CASE WHEN amount_cents % {ROUND_CENTS} = 0 THEN 1 ELSE 0 END",
    "hour_of_day": f"ts % {DAY} / {HOUR}",
    "day_of_week": f"(floor(ts / {DAY}) + 3) % 7",
    "channel": f"CASE channel {_CHANNEL_CODES} END",
    "mcc": "mcc",
    "country_bucket": _bucket("country", COUNTRY_BUCKETS),
    "mcc_country_bucket": _bucket("mcc || ':' || country", BUCKETS),
    "merchant_bucket": _bucket("merchant_id", BUCKETS),
    "ip_bucket": _bucket("regexp_extract(ip, '^[^.]*([.][^.]*)?', 0)", BUCKETS),
}
"""By request feature, its value from the query transaction alone."""
