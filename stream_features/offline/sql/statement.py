"""The catalogue as one SQL statement: every feature of every query transaction, for DuckDB and for Spark.

It knows aggregates, not features: a line added to the catalogue appears here by itself. Nor does it know
states: each window is joined to its events as its definition says, and counting tells where a state would
have dropped events. It expects these, made with `sql.tables`:

- `queries`: the transactions whose features are wanted, numbered by `query_id`, with the columns that the
  visibility needs;
- `transactions` and `labels`: the events; `log_partition` and `log_offset` are null for the history's;
- the function `id_hash`.
"""

# ruff: noqa: S608
# The SQL is made of the catalogue's own words; no data of a transaction is ever written into it.

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import Formatter

from stream_features.catalogue.features import (
    COUNTERPARTS,
    DISTINCT_CAP,
    EARTH_KM,
    EXACT,
    FEATURES,
    KEY_FIELD,
    LABEL_MEMORY,
    LABELLED,
    MAX_LABELS,
    MAX_ROWS,
    PLACE_STEPS,
    Feature,
)
from stream_features.offline.sql.dialects import DUCKDB, Dialect
from stream_features.offline.sql.formulas import MEASURES, REQUEST, VALUES, ZERO_IF_NULL, double
from stream_features.offline.sql.visibility import Visibility


@dataclass(frozen=True)
class StateBounds:
    """How much a state keeps at most. Beyond that `distinct` is capped and windows are null."""

    distinct: int = DISTINCT_CAP
    rows: int = MAX_ROWS
    labels: int = MAX_LABELS


def feature_sql(
    visibility: Visibility,
    features: Sequence[Feature] = FEATURES,
    bounds: StateBounds | None = None,
    dialect: Dialect = DUCKDB,
) -> str:
    """One SELECT with a row for each row of `queries`, in its order.

    Its columns are query_id, tx_id, ts, and the features as DOUBLE.
    """
    windowed = sorted(
        (f for f in features if f.entity != "request"),
        key=lambda f: (list(KEY_FIELD).index(f.entity), f.head_ms),
    )
    groups = [
        _WindowGroup(entity, head, tuple(members), visibility, bounds or StateBounds(), dialect)
        for (entity, head), members in groupby(windowed, key=lambda f: (f.entity, f.head_ms))
    ]
    columns = [
        f"{double(REQUEST[f.aggregate])} AS {f.name}" if f.entity == "request" else f.name for f in features
    ]
    ctes = [cte for group in groups for cte in group.ctes()]
    return "\n".join(
        [
            f"WITH {', '.join(ctes)}" if ctes else "",
            f"SELECT {', '.join(['query_id', 'tx_id', 'ts', *columns])} FROM queries",
            *(f"LEFT JOIN features_{group.name} USING (query_id)" for group in groups),
            "ORDER BY query_id",
        ]
    )


def _floor(value: str, step: int) -> str:
    # Of SQL's remainder, which has the sign of the value.
    return value if step == 1 else f"({value}) - (({value}) % {step} + {step}) % {step}"


@dataclass(frozen=True)
class _WindowGroup:
    """The windows of one entity that end at the same time: they share one join to their events."""

    entity: str
    head_ms: int
    features: tuple[Feature, ...]
    visibility: Visibility
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
    def _start_columns(self) -> list[str]:
        return list(dict.fromkeys(_start_column(f) for f in self.features))

    def _columns_of(self, measure: str) -> dict[str, Feature]:
        """By column of a measure, a feature that needs it."""
        return {
            _measure_column(measure, f): f
            for f in self.features
            if measure in _needed_measures(f, self.entity)
        }

    def ctes(self) -> Iterator[str]:
        """The common table expressions up to `features_<name>`: by query_id, a column for each feature."""
        yield f"queries_{self.name} AS ({self._queries()})"
        # Read more than once; but to materialise it costs more than to join again.
        yield f"joined_{self.name} AS {self.dialect.inline}({self._joined_events()})"
        parts = [("totals", self._totals()), ("later", self._later_events())]
        parts += [(f"distinct_{c}", self._distinct(c)) for c in COUNTERPARTS[self.entity]]
        if self._has_labels:
            parts += [("label_counts", self._label_counts()), ("frauds", self._frauds())]
        if any(f.aggregate == "speed" for f in self.features):
            parts.append(("distance", self._distance()))
        parts = [(part, sql) for part, sql in parts if sql]
        for part, sql in parts:
            yield f"{part}_{self.name} AS ({sql})"
        values = ", ".join(f"{double(self._value(f))} AS {f.name}" for f in self.features)
        joins = " ".join(f"LEFT JOIN {part}_{self.name} USING (query_id)" for part, _ in parts)
        yield f"features_{self.name} AS (SELECT query_id, {values} FROM queries_{self.name} {joins})"

    def _queries(self) -> str:
        """The queries with a key, and where their windows start and end."""
        starts = {_start_column(f): _floor(f"ts - {f.window_ms}", f.tail_ms) for f in self.features}
        return (
            f"SELECT *, {_floor('ts', self.head_ms)} AS until, "
            + ", ".join(f"{sql} AS {name}" for name, sql in starts.items())
            + f", least({', '.join(starts.values())}) AS earliest FROM queries WHERE {self._key} IS NOT NULL"
        )

    def _from_transactions(self, condition: str) -> str:
        return (
            f"FROM queries_{self.name} q JOIN transactions e ON e.{self._key} = q.{self._key}"
            f" WHERE {condition} AND {self.visibility.transactions(self.entity, self.dialect)}"
        )

    def _joined_events(self) -> str:
        counterparts = ", ".join(f"e.{KEY_FIELD[c]} AS event_{c}" for c in COUNTERPARTS[self.entity])
        return (
            f"SELECT q.*, e.ts AS event_ts, e.amount_cents AS event_amount, {counterparts},"
            " e.lat_steps AS event_lat, e.lon_steps AS event_lon "
            + self._from_transactions("e.ts >= q.earliest AND e.ts < q.until")
        )

    def _totals(self) -> str:
        """Measures first over the transactions that lie in the same windows, then over those of each window.

        To test every transaction for every measure against the window took twice as long.
        """
        measures: dict[str, str] = {}
        columns = []
        for name, (measure, combine) in MEASURES.items():
            for column, f in self._columns_of(name).items():
                part = f"{name}_{f.counterpart}" if name == "same" else name
                measures[part] = measure.format(
                    counterpart=f.counterpart,
                    own=_own_counterpart(f),
                    wide_integer=self.dialect.wide_integer,
                )
                bit = 1 << self._start_columns.index(_start_column(f))
                columns.append(f"{combine}({part}) FILTER (WHERE windows & {bit} <> 0) AS {column}")
        if not columns:
            return ""
        bits = " + ".join(
            f"CASE WHEN event_ts >= {start} THEN {1 << index} ELSE 0 END"
            for index, start in enumerate(self._start_columns)
        )
        parts = ", ".join(f"{sql} AS {part}" for part, sql in measures.items())
        return (
            f"SELECT query_id, {', '.join(columns)} FROM (SELECT query_id, {bits} AS windows, {parts}"
            f" FROM joined_{self.name} GROUP BY query_id, windows) GROUP BY query_id"
        )

    def _later_events(self) -> str:
        """Visible events that do not lie before the query transaction."""
        return (
            "SELECT query_id, count(*) AS later_count, max(e.ts) AS newest "
            + self._from_transactions("e.ts >= q.until")
            + " GROUP BY query_id"
        )

    def _distinct(self, counterpart: str) -> str:
        """Every window ends at `until`: a counterpart counts in the windows that hold its last event."""
        columns_of = {c: f for c, f in self._columns_of("others").items() if f.counterpart == counterpart}
        if not columns_of:
            return ""
        columns = [
            f"count(*) FILTER (WHERE last_ts >= {_start_column(f)}) AS {column}"
            for column, f in columns_of.items()
        ]
        return (
            f"SELECT query_id, {', '.join(columns)} FROM ("
            f"SELECT query_id, event_{counterpart}, max(event_ts) AS last_ts FROM joined_{self.name}"
            f" WHERE event_ts >= least({', '.join(map(_start_column, columns_of.values()))})"
            f" AND event_{counterpart} IS NOT NULL"
            f" AND event_{counterpart} IS DISTINCT FROM {KEY_FIELD[counterpart]}"
            f" GROUP BY query_id, event_{counterpart})"
            f" JOIN queries_{self.name} USING (query_id) GROUP BY query_id"
        )

    def _distance(self) -> str:
        """Haversine distance from the newest located event: at equal times, from the last in row order."""
        order = ", ".join(
            [
                "event_amount",
                *(f"coalesce(id_hash(event_{c}), 0)" for c in COUNTERPARTS[self.entity]),
                "event_lat",
                "event_lon",
            ]
        )

        def half_sine(difference: str) -> str:
            return f"sin(radians({difference} / {PLACE_STEPS}) / 2)"

        lat, lon = half_sine("(lat_steps - located_lat)"), half_sine("(lon_steps - located_lon)")
        # Steps count from the south pole, and the cosine of a latitude is the sine of that.
        narrowing = " * ".join(
            f"sin(radians({steps} / {PLACE_STEPS}))" for steps in ("lat_steps", "located_lat")
        )
        return (
            f"SELECT query_id, located_ts, {2 * EARTH_KM} * asin(sqrt(least(1,"
            f" {lat} * {lat} + {narrowing} * {lon} * {lon}))) AS kilometres"
            " FROM (SELECT query_id, event_ts AS located_ts,"
            f" max_by(event_lat, ({order})) AS located_lat, max_by(event_lon, ({order})) AS located_lon"
            " FROM (SELECT *, rank() OVER (PARTITION BY query_id ORDER BY event_ts DESC) AS age_rank"
            f" FROM joined_{self.name} WHERE event_lat IS NOT NULL AND lat_steps IS NOT NULL) AS ranked"
            " WHERE age_rank = 1 GROUP BY query_id, event_ts) AS located"
            f" JOIN queries_{self.name} USING (query_id)"
        )

    def _from_labels(self, condition: str) -> str:
        return (
            f"FROM queries_{self.name} q JOIN labels l ON l.{self._key} = q.{self._key}"
            f" WHERE {condition} AND {self.visibility.labels(self.entity, self.dialect)}"
        )

    def _label_counts(self) -> str:
        """How many labels a state would have to remember, and the time of the newest."""
        return (
            "SELECT query_id, max(l.known_at) AS newest_label,"
            " count(DISTINCT (l.tx_id, l.known_at, l.source_rank, l.is_fraud))"
            f" FILTER (WHERE l.known_at >= until - {LABEL_MEMORY}) AS label_count"
            f" {self._from_labels('TRUE')} GROUP BY query_id"
        )

    def _frauds(self) -> str:
        """Transactions whose latest label says fraud, in the window of their first fraud label."""
        columns_of = self._columns_of("frauds")
        if not columns_of:
            return ""
        columns = [
            f"count(*) FILTER (WHERE first_fraud_at >= {_start_column(f)}) AS {column}"
            for column, f in columns_of.items()
        ]
        remembered = f"l.known_at >= q.until - {LABEL_MEMORY} AND l.known_at < q.until"
        return (
            f"SELECT query_id, {', '.join(columns)} FROM ("
            "SELECT query_id, min(l.known_at) FILTER (WHERE l.is_fraud) AS first_fraud_at,"
            " max_by(l.is_fraud, (l.known_at, l.source_rank, l.is_fraud)) AS verdict"
            f" {self._from_labels(remembered)} GROUP BY query_id, l.tx_id)"
            f" JOIN queries_{self.name} USING (query_id) WHERE verdict GROUP BY query_id"
        )

    def _value(self, feature: Feature) -> str:
        columns = {name: _measure_column(name, feature) for name in (*MEASURES, "others", "frauds")}
        for name in ZERO_IF_NULL:
            columns[name] = f"coalesce({columns[name]}, 0)"
        value = VALUES[feature.aggregate].format(
            **columns,
            cap=self.bounds.distinct,
            own=_own_counterpart(feature),
            start=_start_column(feature),
        )
        newest = "greatest(newest, newest_label)" if self._has_labels else "newest"
        unknown = [self.visibility.beyond_horizon(newest)]
        if self.entity in EXACT:
            unknown.append(f"{columns['n']} + coalesce(later_count, 0) > {self.bounds.rows}")
        if feature.aggregate == "fraud_rate":
            unknown.append(f"coalesce(label_count, 0) > {self.bounds.labels}")
        return f"CASE WHEN {' OR '.join(unknown)} THEN NULL ELSE {value} END"


def _start_column(feature: Feature) -> str:
    """The column of where a window starts."""
    return f"from_{feature.window_ms}_{feature.tail_ms}"


def _own_counterpart(feature: Feature) -> str:
    """The counterpart of the query transaction."""
    return KEY_FIELD.get(feature.counterpart, "NULL")


def _measure_column(measure: str, feature: Feature) -> str:
    counterpart = f"_{feature.counterpart}" if measure in ("same", "others") else ""
    return f"{measure}_{feature.window_ms}_{feature.tail_ms}{counterpart}"


def _needed_measures(feature: Feature, entity: str) -> set[str]:
    """The measures of a feature; for an exact entity also the count, to tell whether rows were dropped."""
    names = {name for _, name, _, _ in Formatter().parse(VALUES[feature.aggregate]) if name}
    return names | ({"n"} if entity in EXACT else set())
