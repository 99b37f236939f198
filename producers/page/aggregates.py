"""Counts of a history for its page: small arrays, whatever the number of transactions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudsim.archive.id_columns import spelled
from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.errors import FraudsimError
from producers.calendar.rhythm import zone_of
from producers.history.reader import History
from producers.history.tables import TRUTH
from producers.population.columns import DAY_MS

HOUR_MS: Final = 3_600_000
REMOTE: Final = ("ecommerce", "moto", "recurring")
_FRAUD_COLUMNS: Final = ["ts", "amount_cents", "card_id", "merchant_id", "device_id"]
_COLUMNS: Final = [*_FRAUD_COLUMNS, "channel", "currency", "lon", "mcc"]
TRADE_MCC: Final = {"groceries": 5411, "restaurants": 5812, "clothes": 5651}
"""Trades whose hours are shown separately, and their MCC."""
_MEDIAN_CENTS: Final = 2_000_000
"""Medians are exact up to here; larger amounts count as this."""
AMOUNT_EDGES: Final = np.logspace(1, 7, 73)
"""Edges of the histogram of amounts, cents: twelve a decade from 0.10 to 100,000."""
DELAY_DAYS: Final = np.logspace(np.log10(1 / 48), np.log10(120), 120)
"""Delays at which the labels known are counted: half an hour to 120 days."""


@dataclass(frozen=True, eq=False)
class CampaignSummary:
    """One campaign, as a plot shows it."""

    campaign_id: str
    ts: Ints
    amount_cents: Ints
    card: Ints
    """0 for the first card that appears, 1 for the second, …"""
    merchants: int
    devices: int


@dataclass(frozen=True, eq=False)
class TypologyCounts:
    """One fraud typology in a history."""

    name: str
    frauds: int
    campaigns: int
    cents: int
    per_day: Ints
    example: CampaignSummary | None


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Totals and distributions of one class: honest or fraudulent transactions."""

    number: int
    cents: int
    remote: int
    remote_cents: int
    amounts: Ints
    """Histogram with `AMOUNT_EDGES`."""
    median_cents: float
    hours: Ints
    """(24,), UTC."""
    weekdays: Doubles
    """(7,), Monday first: mean number on such a day; NaN where there is none."""
    per_day: Ints


@dataclass(frozen=True, eq=False)
class Aggregates:
    """All counts that the page shows."""

    start_ms: int
    cards: int
    currency: str
    """Code, or "" where the source names none."""
    honest: ClassCounts
    fraud: ClassCounts
    local_hours: Ints | None
    """(24,) card-present transactions by hour at the merchant's longitude; None if no location is known."""
    trade_hours: dict[str, Ints]
    """(24,) each, like `local_hours`, by trade of `TRADE_MCC`; absent trades are left out."""
    remote_hours: Ints
    """(24,) card-not-present transactions by hour, UTC."""
    typologies: list[TypologyCounts]
    """Most frequent first; empty if the source has no typologies."""
    arrivals: dict[str, Doubles]
    """By label source, and `any`: share of frauds labelled as fraud within each of `DELAY_DAYS`."""


def aggregate(history: History) -> Aggregates:
    """Count a history in batches of 200,000 rows; only its frauds are held in memory.

    Raises:
        FraudsimError: a file cannot be read.
    """
    start = history.manifest.start_ms
    days = max(int(np.ceil((history.manifest.end_ms - start) / DAY_MS)), 1)
    fraud, truth = _frauds(history)
    tallies = (_Tally(days), _Tally(days))
    local, remote_hours = np.zeros(24, np.int64), np.zeros(24, np.int64)
    trades = {name: np.zeros(24, np.int64) for name in TRADE_MCC}
    currencies: set[str] = set()
    fraud_parts, rows_read = [], 0
    for batch in _batches(history.transactions_path, _COLUMNS):
        is_fraud = fraud[rows_read : rows_read + batch.num_rows]
        rows_read += batch.num_rows
        ts, cents = np.asarray(batch["ts"]), np.asarray(batch["amount_cents"])
        remote = np.asarray(pc.is_in(_texts(batch["channel"]), value_set=pa.array(REMOTE)))
        day = np.clip((ts - start) // DAY_MS, 0, days - 1)
        hour = ts // HOUR_MS % 24
        for tally, rows in zip(tallies, (~is_fraud, is_fraud), strict=True):
            tally.add(day[rows], hour[rows], cents[rows], remote[rows])
        remote_hours += np.bincount(hour[remote], minlength=24)
        lon = np.asarray(batch["lon"].cast(pa.float64()))
        located = np.flatnonzero(~np.isnan(lon))
        clock = (hour[located] + zone_of(lon[located])) % 24
        local += np.bincount(clock, minlength=24)
        mcc = np.asarray(batch["mcc"].fill_null(0))[located]
        for name, code in TRADE_MCC.items():
            trades[name] += np.bincount(clock[mcc == code], minlength=24)
        currencies |= set(pc.unique(_texts(batch["currency"])).drop_null().to_pylist())
        fraud_parts.append(_decoded(batch.filter(pa.array(is_fraud)), _FRAUD_COLUMNS))
    frauds = pa.concat_tables(fraud_parts)
    return Aggregates(
        start_ms=start,
        cards=history.manifest.cards,
        currency=currencies.pop() if len(currencies) == 1 else "",
        honest=tallies[0].class_counts(start),
        fraud=tallies[1].class_counts(start),
        local_hours=local if local.any() else None,
        trade_hours={name: hours for name, hours in trades.items() if hours.any()},
        remote_hours=remote_hours,
        typologies=_typologies(frauds, truth, start, days),
        arrivals=_arrivals(history, truth["tx_id"]),
    )


def _frauds(history: History) -> tuple[Flags, pa.Table]:
    """Which rows of the history are fraud, and the truth of the frauds."""
    flags, parts = [np.zeros(0, np.bool_)], []
    for batch in _batches(history.truth_path, TRUTH.names):
        flags.append(np.asarray(batch["is_fraud"]))
        parts.append(_decoded(batch.filter(batch["is_fraud"]), TRUTH.names))
    return np.concatenate(flags), pa.concat_tables(parts)


class _Tally:
    """Counts one class of transactions, batch by batch."""

    def __init__(self, days: int) -> None:
        self._per_day = np.zeros(days, np.int64)
        self._hours = np.zeros(24, np.int64)
        self._amounts = np.zeros(len(AMOUNT_EDGES) - 1, np.int64)
        self._by_cents = np.zeros(_MEDIAN_CENTS + 1, np.int64)
        self._cents = self._remote = self._remote_cents = 0

    def add(
        self,
        day: Ints,
        hour: Ints,
        cents: Ints,
        remote: Flags,
    ) -> None:
        self._per_day += np.bincount(day, minlength=len(self._per_day))
        self._hours += np.bincount(hour, minlength=24)
        self._amounts += np.histogram(cents, AMOUNT_EDGES)[0]
        counted = np.bincount(np.clip(cents, 0, _MEDIAN_CENTS))
        self._by_cents[: len(counted)] += counted
        self._cents += int(cents.sum())
        self._remote += int(remote.sum())
        self._remote_cents += int(cents[remote].sum())

    def class_counts(self, start_ms: int) -> ClassCounts:
        number = int(self._per_day.sum())
        cumulative = np.cumsum(self._by_cents)
        median_cents = np.searchsorted(cumulative, [(number - 1) // 2, number // 2], side="right")
        weekday = (np.arange(len(self._per_day)) + start_ms // DAY_MS + 3) % 7
        day_counts = np.bincount(weekday, minlength=7).astype(np.float64)
        day_counts[day_counts == 0] = np.nan
        return ClassCounts(
            number=number,
            cents=self._cents,
            remote=self._remote,
            remote_cents=self._remote_cents,
            amounts=self._amounts,
            median_cents=float(median_cents.mean()) if number else 0.0,
            hours=self._hours,
            weekdays=np.bincount(weekday, weights=self._per_day, minlength=7) / day_counts,
            per_day=self._per_day,
        )


def _typologies(frauds: pa.Table, truth: pa.Table, start_ms: int, days: int) -> list[TypologyCounts]:
    """Counts by typology; `frauds` and `truth` have the same rows, one per fraud."""
    kind = np.array(truth["typology"].to_pylist(), dtype=object)
    campaign = np.array(truth["campaign_id"].to_pylist(), dtype=object)
    ts, cents = np.asarray(frauds["ts"]), np.asarray(frauds["amount_cents"])
    day = np.clip((ts - start_ms) // DAY_MS, 0, days - 1)
    keys = {name: _encoded(frauds[name]) for name in ("card_id", "merchant_id", "device_id")}
    counts = []
    for name in sorted({word for word in kind if word is not None}):
        rows = np.flatnonzero(kind == name)
        ids, campaign_index = np.unique(campaign[rows].astype(str), return_inverse=True)
        has_id = ids != "None"
        sizes = np.bincount(campaign_index)
        example = None
        if has_id.any():
            # The example is one of the larger campaigns, but not the largest. Campaigns cut by the first or
            # last day of the history are left out, unless most are cut: the others would be unusually short.
            at_edge = np.bincount(campaign_index, weights=(day[rows] == 0) | (day[rows] == days - 1)) > 0
            whole = has_id & ~at_edge
            candidates = whole if 2 * whole.sum() >= has_id.sum() else has_id
            target_size = np.quantile(sizes[candidates], 0.75)
            chosen = int(np.argmin(np.where(candidates, np.abs(sizes - target_size), np.inf)))
            example = _campaign(str(ids[chosen]), rows[campaign_index == chosen], ts, cents, keys)
        counts.append(
            TypologyCounts(
                name=name,
                frauds=len(rows),
                campaigns=int(has_id.sum()),
                cents=int(cents[rows].sum()),
                per_day=np.bincount(day[rows], minlength=days),
                example=example,
            )
        )
    return sorted(counts, key=lambda typology: -typology.frauds)


def _campaign(
    campaign_id: str,
    rows: NDArray[np.intp],
    ts: Ints,
    cents: Ints,
    keys: dict[str, Ints],
) -> CampaignSummary:
    cards, first, card = np.unique(keys["card_id"][rows], return_index=True, return_inverse=True)
    appearance = np.empty(len(cards), np.int64)
    appearance[np.argsort(first)] = np.arange(len(cards))
    device = keys["device_id"][rows]
    return CampaignSummary(
        campaign_id=campaign_id,
        ts=ts[rows],
        amount_cents=cents[rows],
        card=appearance[card],
        merchants=len(np.unique(keys["merchant_id"][rows])),
        devices=len(np.unique(device[device >= 0])),
    )


def _arrivals(history: History, fraud_ids: pa.ChunkedArray) -> dict[str, Doubles]:
    """By label source, and `any`: share of frauds labelled as fraud within each of `DELAY_DAYS`."""
    labels = history.labels()
    fraud_index = pc.index_in(labels["tx_id"].combine_chunks(), value_set=fraud_ids.combine_chunks())
    matched = np.asarray(pc.and_(fraud_index.is_valid(), labels["is_fraud"].combine_chunks()))
    fraud_of_label = np.asarray(fraud_index.fill_null(0))[matched]
    source = np.array(labels["source"].cast(pa.string()).to_pylist(), dtype=object)[matched]
    delay = np.asarray(pc.subtract(labels["known_at"], labels["ts"]))[matched] / DAY_MS
    result = {}
    for name in ("any", "analyst", "customer", "chargeback"):
        rows = np.ones(len(source), np.bool_) if name == "any" else source == name
        first = np.full(len(fraud_ids), np.inf)
        np.minimum.at(first, fraud_of_label[rows], delay[rows])
        if rows.any() or name == "any":
            known_counts = np.searchsorted(np.sort(first), DELAY_DAYS, side="right")
            result[name] = known_counts / max(len(fraud_ids), 1)
    return result


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        yield from pq.ParquetFile(path).iter_batches(batch_size=200_000, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"history {path}: {str(error).splitlines()[0]}") from None


def _texts(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _decoded(batch: pa.RecordBatch, names: list[str]) -> pa.Table:
    """Columns of a batch, dictionaries decoded to texts, so that batches can be concatenated."""
    columns = spelled(pa.Table.from_batches([batch.select(names)])).columns
    return pa.table([_texts(c) if pa.types.is_dictionary(c.type) else c for c in columns], names=names)


def _encoded(column: pa.ChunkedArray) -> Ints:
    """Codes of a text column, -1 for null."""
    codes = column.combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(codes).astype(np.int64)
