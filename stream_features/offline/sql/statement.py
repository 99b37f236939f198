"""The catalogue as SQL: one statement that gives every feature of every transaction asked for.

The text is for DuckDB and for Spark; a dialect has what they write differently.

It knows aggregates, not features: a line added to the catalogue appears here by itself. Nor does it know
states: each window is joined to its events as the definition has it, and where a state would have had to
forget, that is told by counting. It expects these, as the engines make them with `batch_tables`:

- `asked`: the transactions at hand, numbered by `ask`, with what the reading needs;
- `transactions` and `labels`: those that may be seen; `log_partition` and `log_offset` are null for history;
- the function `id_hash`.
"""

# ruff: noqa: S608
# The SQL is made of the catalogue's own words; nothing of a transaction is ever written into it.

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import Formatter
from typing import Final

from stream_features.catalogue.features import (
    BUCKETS,
    CHANNELS,
    COUNTERPARTS,
    COUNTRY_BUCKETS,
    DAY,
    DISTINCT_CAP,
    EARTH_KM,
    EXACT,
    FEATURES,
    HOUR,
    KEY_FIELD,
    LABEL_MEMORY,
    LABELLED,
    LABELS,
    PLACE_STEPS,
    RISK_PRIOR,
    RISK_WEIGHT,
    ROUND_CENTS,
    ROWS,
    Feature,
)
from stream_features.offline.sql.dialects import DUCKDB, Dialect
from stream_features.offline.sql.visibility import Visibility


def _double(value: float | str) -> str:
    # A literal with a point is a decimal otherwise.
    return f"CAST({value} AS DOUBLE)"


MEASURES: Final = {
    "n": ("count(*)", "sum"),
    "total": ("sum(event_amount)", "sum"),
    "shift": ("sum(CAST(event_amount - amount_cents AS {whole}))", "sum"),
    "squares": ("sum(CAST((event_amount - amount_cents) * (event_amount - amount_cents) AS {whole}))", "sum"),
    "largest": ("max(event_amount)", "max"),
    "newest": ("max(event_ts)", "max"),
    "same": ("count(*) FILTER (WHERE their_{counterpart} = {own})", "sum"),
}
"""What is gathered over transactions, and how that of several sets of them becomes that of all.

Integers all, so exact: sums of what is squared have more than 64 bits."""
NONE_IS_ZERO: Final = ("n", "total", "shift", "squares", "same", "others", "frauds")

VALUES: Final = {
    "count": "{n} + 1",
    "sum": "{total} + amount_cents",
    "mean": "({total} + amount_cents) / ({n} + 1)",
    "std": "sqrt(({n} + 1) * {squares} - {shift} * {shift}) / ({n} + 1)",
    "max": "greatest({largest}, amount_cents)",
    "distinct": "least({cap}, {others} + CASE WHEN {own} IS NULL THEN 0 ELSE 1 END)",
    "same": "CASE WHEN {own} IS NOT NULL THEN {same} END",
    "since_last": "(ts - {newest}) / 1e3",
    "speed": "CASE WHEN placed_ts >= {start} THEN kilometres / ((ts - placed_ts) / 3.6e6) END",
    "ratio_to_mean": "CASE WHEN {total} > 0 THEN amount_cents * {n} / {total} END",
    "fraud_rate": f"({{frauds}} + {_double(RISK_WEIGHT)} * {_double(RISK_PRIOR)})"
    f" / ({{n}} + {_double(RISK_WEIGHT)})",
}
"""A feature from what was gathered and the transaction at hand."""


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
"""What a transaction alone says."""


@dataclass(frozen=True)
class StateBounds:
    """How much a state keeps at most; beyond, `distinct` is capped and windows are null."""

    distinct: int = DISTINCT_CAP
    rows: int = ROWS
    labels: int = LABELS


def feature_sql(
    reading: Visibility,
    features: Sequence[Feature] = FEATURES,
    bounds: StateBounds | None = None,
    dialect: Dialect = DUCKDB,
) -> str:
    """One SELECT: a row for each row of `asked`, in its order: ask, tx_id, ts, and the features as DOUBLE."""
    windowed = sorted(
        (f for f in features if f.entity != "request"),
        key=lambda f: (list(KEY_FIELD).index(f.entity), f.head_ms),
    )
    groups = [
        _Group(entity, head, tuple(of_group), reading, bounds or StateBounds(), dialect)
        for (entity, head), of_group in groupby(windowed, key=lambda f: (f.entity, f.head_ms))
    ]
    columns = [
        f"{_double(REQUEST[f.aggregate])} AS {f.name}" if f.entity == "request" else f.name for f in features
    ]
    ctes = [cte for group in groups for cte in group.ctes()]
    return "\n".join(
        [
            f"WITH {', '.join(ctes)}" if ctes else "",
            f"SELECT {', '.join(['ask', 'tx_id', 'ts', *columns])} FROM asked",
            *(f"LEFT JOIN features_{group.name} USING (ask)" for group in groups),
            "ORDER BY ask",
        ]
    )


def _floor(value: str, step: int) -> str:
    # Of SQL's remainder, which has the sign of the value.
    return value if step == 1 else f"({value}) - (({value}) % {step} + {step}) % {step}"


@dataclass(frozen=True)
class _Group:
    """The windows of one entity that end alike: they are joined to their events at once."""

    entity: str
    head_ms: int
    features: tuple[Feature, ...]
    reading: Visibility
    bounds: StateBounds
    dialect: Dialect

    @property
    def name(self) -> str:
        return f"{self.entity}_{self.head_ms}"

    @property
    def _key(self) -> str:
        return KEY_FIELD[self.entity]

    @property
    def _has_labels(self) -> bool:
        return self.entity in LABELLED

    @property
    def _starts(self) -> list[str]:
        """The columns of where windows start."""
        return list(dict.fromkeys(_start(f) for f in self.features))

    def _with(self, measure: str) -> dict[str, Feature]:
        """By column, a feature that needs the measure there."""
        return {_column(measure, f): f for f in self.features if measure in _measures(f, self.entity)}

    def ctes(self) -> Iterator[str]:
        """Everything that leads to `features_<name>`: by ask, a column for each feature."""
        yield f"asked_{self.name} AS ({self._asked()})"
        # Read more than once; but to keep it costs more than to join again.
        yield f"seen_{self.name} AS {self.dialect.inline}({self._seen()})"
        parts = [("totals", self._totals()), ("ahead", self._ahead())]
        parts += [(f"distinct_{who}", self._distinct(who)) for who in COUNTERPARTS[self.entity]]
        if self._has_labels:
            parts += [("known", self._known()), ("frauds", self._frauds())]
        if any(f.aggregate == "speed" for f in self.features):
            parts.append(("placed", self._placed()))
        parts = [(part, sql) for part, sql in parts if sql]
        for part, sql in parts:
            yield f"{part}_{self.name} AS ({sql})"
        values = ", ".join(f"{_double(self._value(f))} AS {f.name}" for f in self.features)
        joins = " ".join(f"LEFT JOIN {part}_{self.name} USING (ask)" for part, _ in parts)
        yield f"features_{self.name} AS (SELECT ask, {values} FROM asked_{self.name} {joins})"

    def _asked(self) -> str:
        starts = {_start(f): _floor(f"ts - {f.window_ms}", f.tail_ms) for f in self.features}
        return (
            f"SELECT *, {_floor('ts', self.head_ms)} AS until, "
            + ", ".join(f"{sql} AS {name}" for name, sql in starts.items())
            + f", least({', '.join(starts.values())}) AS earliest FROM asked WHERE {self._key} IS NOT NULL"
        )

    def _joined(self, condition: str) -> str:
        return (
            f"FROM asked_{self.name} q JOIN transactions e ON e.{self._key} = q.{self._key}"
            f" WHERE {condition} AND {self.reading.transactions(self.entity, self.dialect)}"
        )

    def _seen(self) -> str:
        theirs = ", ".join(f"e.{KEY_FIELD[who]} AS their_{who}" for who in COUNTERPARTS[self.entity])
        return (
            f"SELECT q.*, e.ts AS event_ts, e.amount_cents AS event_amount, {theirs},"
            " e.lat_steps AS event_lat, e.lon_steps AS event_lon "
            + self._joined("e.ts >= q.earliest AND e.ts < q.until")
        )

    def _totals(self) -> str:
        """First over the transactions that lie in the same windows, then over those of each window.

        To ask of every transaction for every measure whether it lies in the window took twice as long.
        """
        gathered: dict[str, str] = {}
        columns = []
        for name, (gather, combine) in MEASURES.items():
            for column, f in self._with(name).items():
                part = f"{name}_{f.counterpart}" if name == "same" else name
                gathered[part] = gather.format(
                    counterpart=f.counterpart, own=_own(f), whole=self.dialect.whole
                )
                bit = 1 << self._starts.index(_start(f))
                columns.append(f"{combine}({part}) FILTER (WHERE windows & {bit} <> 0) AS {column}")
        if not columns:
            return ""
        bits = " + ".join(
            f"CASE WHEN event_ts >= {start} THEN {1 << place} ELSE 0 END"
            for place, start in enumerate(self._starts)
        )
        parts = ", ".join(f"{sql} AS {part}" for part, sql in gathered.items())
        return (
            f"SELECT ask, {', '.join(columns)} FROM (SELECT ask, {bits} AS windows, {parts}"
            f" FROM seen_{self.name} GROUP BY ask, windows) GROUP BY ask"
        )

    def _ahead(self) -> str:
        """What is seen though it does not lie before the transaction at hand."""
        return (
            "SELECT ask, count(*) AS ahead, max(e.ts) AS newest "
            + self._joined("e.ts >= q.until")
            + (" GROUP BY ask")
        )

    def _distinct(self, who: str) -> str:
        """Every window ends at `until`: so each counterpart counts where it was seen last."""
        wanted = {c: f for c, f in self._with("others").items() if f.counterpart == who}
        if not wanted:
            return ""
        columns = [
            f"count(*) FILTER (WHERE seen_last >= {_start(f)}) AS {column}" for column, f in wanted.items()
        ]
        return (
            f"SELECT ask, {', '.join(columns)} FROM ("
            f"SELECT ask, their_{who}, max(event_ts) AS seen_last FROM seen_{self.name}"
            f" WHERE event_ts >= least({', '.join(map(_start, wanted.values()))})"
            f" AND their_{who} IS NOT NULL AND their_{who} IS DISTINCT FROM {KEY_FIELD[who]}"
            f" GROUP BY ask, their_{who}) JOIN asked_{self.name} USING (ask) GROUP BY ask"
        )

    def _placed(self) -> str:
        """Distance from the newest place (haversine). Of several at one instant, the last in row order."""
        order = ", ".join(
            [
                "event_amount",
                *(f"coalesce(id_hash(their_{who}), 0)" for who in COUNTERPARTS[self.entity]),
                "event_lat",
                "event_lon",
            ]
        )

        def half_sine(difference: str) -> str:
            return f"sin(radians({difference} / {PLACE_STEPS}) / 2)"

        lat, lon = half_sine("(lat_steps - placed_lat)"), half_sine("(lon_steps - placed_lon)")
        # Steps count from the south pole, and the cosine of a latitude is the sine of that.
        narrowing = " * ".join(
            f"sin(radians({steps} / {PLACE_STEPS}))" for steps in ("lat_steps", "placed_lat")
        )
        return (
            f"SELECT ask, placed_ts, {2 * EARTH_KM} * asin(sqrt(least(1,"
            f" {lat} * {lat} + {narrowing} * {lon} * {lon}))) AS kilometres"
            " FROM (SELECT ask, event_ts AS placed_ts,"
            f" max_by(event_lat, ({order})) AS placed_lat, max_by(event_lon, ({order})) AS placed_lon"
            " FROM (SELECT *, rank() OVER (PARTITION BY ask ORDER BY event_ts DESC) AS newness"
            f" FROM seen_{self.name} WHERE event_lat IS NOT NULL AND lat_steps IS NOT NULL) AS ranked"
            f" WHERE newness = 1 GROUP BY ask, event_ts) AS placed JOIN asked_{self.name} USING (ask)"
        )

    def _labelled(self, condition: str) -> str:
        return (
            f"FROM asked_{self.name} q JOIN labels l ON l.{self._key} = q.{self._key}"
            f" WHERE {condition} AND {self.reading.labels(self.entity, self.dialect)}"
        )

    def _known(self) -> str:
        """How many labels a state would have to remember, and the newest."""
        return (
            "SELECT ask, max(l.known_at) AS newest_label,"
            " count(DISTINCT (l.tx_id, l.known_at, l.source_rank, l.is_fraud))"
            f" FILTER (WHERE l.known_at >= until - {LABEL_MEMORY}) AS remembered"
            f" {self._labelled('TRUE')} GROUP BY ask"
        )

    def _frauds(self) -> str:
        """Transactions whose latest label says fraud, by when that was said first."""
        wanted = self._with("frauds")
        if not wanted:
            return ""
        columns = [f"count(*) FILTER (WHERE said >= {_start(f)}) AS {column}" for column, f in wanted.items()]
        inside = f"l.known_at >= q.until - {LABEL_MEMORY} AND l.known_at < q.until"
        return (
            f"SELECT ask, {', '.join(columns)} FROM ("
            "SELECT ask, min(l.known_at) FILTER (WHERE l.is_fraud) AS said,"
            " max_by(l.is_fraud, (l.known_at, l.source_rank, l.is_fraud)) AS verdict"
            f" {self._labelled(inside)} GROUP BY ask, l.tx_id)"
            f" JOIN asked_{self.name} USING (ask) WHERE verdict GROUP BY ask"
        )

    def _value(self, feature: Feature) -> str:
        columns = {name: _column(name, feature) for name in (*MEASURES, "others", "frauds")}
        for name in NONE_IS_ZERO:
            columns[name] = f"coalesce({columns[name]}, 0)"
        value = VALUES[feature.aggregate].format(
            **columns, cap=self.bounds.distinct, own=_own(feature), start=_start(feature)
        )
        newest = "greatest(newest, newest_label)" if self._has_labels else "newest"
        unknown = [self.reading.beyond(newest)]
        if self.entity in EXACT:
            unknown.append(f"{columns['n']} + coalesce(ahead, 0) > {self.bounds.rows}")
        if feature.aggregate == "fraud_rate":
            unknown.append(f"coalesce(remembered, 0) > {self.bounds.labels}")
        return f"CASE WHEN {' OR '.join(unknown)} THEN NULL ELSE {value} END"


def _start(feature: Feature) -> str:
    return f"from_{feature.window_ms}_{feature.tail_ms}"


def _own(feature: Feature) -> str:
    """The counterpart of the transaction at hand."""
    return KEY_FIELD.get(feature.counterpart, "NULL")


def _column(measure: str, feature: Feature) -> str:
    who = f"_{feature.counterpart}" if measure in ("same", "others") else ""
    return f"{measure}_{feature.window_ms}_{feature.tail_ms}{who}"


def _measures(feature: Feature, entity: str) -> set[str]:
    """What must be gathered for a feature; of an exact entity also how many, to tell what was forgotten."""
    named = {name for _, name, _, _ in Formatter().parse(VALUES[feature.aggregate]) if name}
    return named | ({"n"} if entity in EXACT else set())
