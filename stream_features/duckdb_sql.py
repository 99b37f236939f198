"""The catalogue as SQL for DuckDB: one statement that gives every feature of every transaction asked for.

It knows aggregates, not features: a line added to the catalogue appears here by itself. Nor does it know
states: each window is joined to its events as the definition has it, and where a state would have had to
forget, that is told by counting. It expects these tables, as `duckdb_engine` makes them:

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

from stream_features.catalogue import (
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
from stream_features.duckdb_reading import Reading

MEASURES: Final = {
    "n": ("count(*)", "sum"),
    "total": ("sum(event_amount)", "sum"),
    "shift": ("sum(event_amount - amount_cents)", "sum"),
    "squares": ("sum((event_amount - amount_cents) * (event_amount - amount_cents))", "sum"),
    "largest": ("max(event_amount)", "max"),
    "newest": ("max(event_ts)", "max"),
    "same": ("count(*) FILTER (their_{counterpart} = {own})", "sum"),
}
"""What is gathered over transactions, and how that of several sets of them becomes that of all.

Integers all: sums are of 128 bits, so exact."""
NONE_IS_ZERO: Final = ("n", "total", "shift", "squares", "same", "others", "frauds")

VALUES: Final = {
    "count": "{n} + 1",
    "sum": "{total} + amount_cents",
    "mean": "({total} + amount_cents) / ({n} + 1)",
    "std": "sqrt(({n} + 1) * {squares} - {shift} * {shift}) / ({n} + 1)",
    "max": "greatest({largest}, amount_cents)",
    "distinct": "least({cap}, {others} + ({own} IS NOT NULL)::INT)",
    "same": "CASE WHEN {own} IS NOT NULL THEN {same} END",
    "since_last": "(ts - {newest}) / 1e3",
    "speed": "CASE WHEN placed_ts >= {start} THEN kilometres / ((ts - placed_ts) / 3.6e6) END",
    "ratio_to_mean": "CASE WHEN {total} > 0 THEN amount_cents * {n} / {total} END",
    "fraud_rate": f"({{frauds}} + {RISK_WEIGHT}::DOUBLE * {RISK_PRIOR}::DOUBLE)"
    f" / ({{n}} + {RISK_WEIGHT}::DOUBLE)",
}
"""A feature from what was gathered and the transaction at hand."""


def _bucket(text: str, buckets: int) -> str:
    # % has the sign of the hash; a bucket has none.
    return f"(id_hash({text}) % {buckets} + {buckets}) % {buckets}"


REQUEST: Final = {
    "amount": "amount_cents",
    "amount_is_round": f"(amount_cents % {ROUND_CENTS} = 0)::INT",
    "hour_of_day": f"ts % {DAY} / {HOUR}",
    "day_of_week": f"(ts // {DAY} + 3) % 7",
    "channel": f"list_position({list(CHANNELS)}, channel) - 1",
    "mcc": "mcc",
    "country_bucket": _bucket("country", COUNTRY_BUCKETS),
    "mcc_country_bucket": _bucket("mcc || ':' || country", BUCKETS),
    "merchant_bucket": _bucket("merchant_id", BUCKETS),
    "ip_bucket": _bucket("array_to_string(string_split(ip, '.')[1:2], '.')", BUCKETS),
}
"""What a transaction alone says."""


@dataclass(frozen=True)
class Bounds:
    """How much a state keeps at most; beyond, `distinct` is capped and windows are null."""

    distinct: int = DISTINCT_CAP
    rows: int = ROWS
    labels: int = LABELS


def feature_sql(
    reading: Reading, features: Sequence[Feature] = FEATURES, bounds: Bounds | None = None
) -> str:
    """One SELECT: a row for each row of `asked`, in its order, a DOUBLE column for each feature."""
    windowed = sorted(
        (f for f in features if f.entity != "request"),
        key=lambda f: (list(KEY_FIELD).index(f.entity), f.head_ms),
    )
    groups = [
        _Group(entity, head, tuple(of_group), reading, bounds or Bounds())
        for (entity, head), of_group in groupby(windowed, key=lambda f: (f.entity, f.head_ms))
    ]
    columns = [
        f'({REQUEST[f.aggregate]})::DOUBLE AS "{f.name}"' if f.entity == "request" else f'"{f.name}"'
        for f in features
    ]
    ctes = [cte for group in groups for cte in group.ctes()]
    return "\n".join(
        [
            f"WITH {', '.join(ctes)}" if ctes else "",
            f"SELECT {', '.join(columns)} FROM asked",
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
    reading: Reading
    bounds: Bounds

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
        yield f"seen_{self.name} AS NOT MATERIALIZED ({self._seen()})"
        parts = [("totals", self._totals()), ("ahead", self._ahead())]
        parts += [(f"distinct_{who}", self._distinct(who)) for who in COUNTERPARTS[self.entity]]
        if self._has_labels:
            parts += [("known", self._known()), ("frauds", self._frauds())]
        if any(f.aggregate == "speed" for f in self.features):
            parts.append(("placed", self._placed()))
        parts = [(part, sql) for part, sql in parts if sql]
        for part, sql in parts:
            yield f"{part}_{self.name} AS ({sql})"
        values = ", ".join(f'({self._value(f)})::DOUBLE AS "{f.name}"' for f in self.features)
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
            f" WHERE {condition} AND {self.reading.transactions(self.entity)}"
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
                gathered[part] = gather.format(counterpart=f.counterpart, own=_own(f))
                bit = 1 << self._starts.index(_start(f))
                columns.append(f"{combine}({part}) FILTER (windows & {bit} <> 0) AS {column}")
        if not columns:
            return ""
        bits = " + ".join(
            f"(event_ts >= {start})::INT * {1 << place}" for place, start in enumerate(self._starts)
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
        columns = [f"count(*) FILTER (last >= {_start(f)}) AS {column}" for column, f in wanted.items()]
        return (
            f"SELECT ask, {', '.join(columns)} FROM ("
            f"SELECT ask, their_{who}, max(event_ts) AS last FROM seen_{self.name}"
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

        lat, lon = half_sine("(lat_steps - place.lat)"), half_sine("(lon_steps - place.lon)")
        # Steps count from the south pole, and the cosine of a latitude is the sine of that.
        narrowing = " * ".join(
            f"sin(radians({steps} / {PLACE_STEPS}))" for steps in ("lat_steps", "place.lat")
        )
        return (
            f"SELECT ask, placed_ts, {2 * EARTH_KM} * asin(sqrt(least(1,"
            f" {lat} * {lat} + {narrowing} * {lon} * {lon}))) AS kilometres"
            " FROM (SELECT ask, event_ts AS placed_ts,"
            f" arg_max({{'lat': event_lat, 'lon': event_lon}}, row({order})) AS place"
            f" FROM (SELECT * FROM seen_{self.name} WHERE event_lat IS NOT NULL AND lat_steps IS NOT NULL"
            " QUALIFY rank() OVER (PARTITION BY ask ORDER BY event_ts DESC) = 1)"
            f" GROUP BY ask, event_ts) JOIN asked_{self.name} USING (ask)"
        )

    def _labelled(self, condition: str) -> str:
        return (
            f"FROM asked_{self.name} q JOIN labels l ON l.{self._key} = q.{self._key}"
            f" WHERE {condition} AND {self.reading.labels(self.entity)}"
        )

    def _known(self) -> str:
        """How many labels a state would have to remember, and the newest."""
        return (
            "SELECT ask, max(l.known_at) AS newest_label,"
            " count(DISTINCT row(l.tx_id, l.known_at, l.source_rank, l.is_fraud))"
            f" FILTER (l.known_at >= until - {LABEL_MEMORY}) AS remembered"
            f" {self._labelled('TRUE')} GROUP BY ask"
        )

    def _frauds(self) -> str:
        """Transactions whose latest label says fraud, by when that was said first."""
        wanted = self._with("frauds")
        if not wanted:
            return ""
        columns = [f"count(*) FILTER (said >= {_start(f)}) AS {column}" for column, f in wanted.items()]
        inside = f"l.known_at >= q.until - {LABEL_MEMORY} AND l.known_at < q.until"
        return (
            f"SELECT ask, {', '.join(columns)} FROM ("
            "SELECT ask, min(l.known_at) FILTER (l.is_fraud) AS said,"
            " arg_max(l.is_fraud, row(l.known_at, l.source_rank, l.is_fraud)) AS verdict"
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
