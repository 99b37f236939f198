"""What there is to see of a history, counted: small arrays, whatever the number of transactions."""

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
from fraudsim.errors import FraudsimError
from producers.calendar.rhythm import zone_of
from producers.history.reader import History
from producers.history.tables import TRUTH
from producers.population.columns import DAY_MS

HOUR_MS: Final = 3_600_000
REMOTE: Final = ("ecommerce", "moto", "recurring")
_KEPT: Final = ["ts", "amount_cents", "card_id", "merchant_id", "device_id"]
_OBSERVED: Final = [*_KEPT, "channel", "currency", "lon", "mcc"]
TRADE_MCC: Final = {"groceries": 5411, "restaurants": 5812, "clothes": 5651}
"""Trades whose hours are told apart, and their MCC."""
_MEDIAN_CENTS: Final = 2_000_000
"""Medians are exact up to here; larger amounts count as this."""
AMOUNT_EDGES: Final = np.logspace(1, 7, 73)
"""Edges of the histogram of amounts, cents: twelve a decade from 0.10 to 100,000."""
DELAY_DAYS: Final = np.logspace(np.log10(1 / 48), np.log10(120), 120)
"""Delays at which the labels known are counted: half an hour to 120 days."""


@dataclass(frozen=True, eq=False)
class CampaignSummary:
    """One campaign, to be drawn."""

    campaign_id: str
    ts: NDArray[np.int64]
    amount_cents: NDArray[np.int64]
    card: NDArray[np.int64]
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
    per_day: NDArray[np.int64]
    example: CampaignSummary | None


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Honest or fraudulent transactions, all together."""

    number: int
    cents: int
    remote: int
    remote_cents: int
    amounts: NDArray[np.int64]
    """By `AMOUNT_EDGES`."""
    median_cents: float
    hours: NDArray[np.int64]
    """(24,), UTC."""
    weekdays: NDArray[np.float64]
    """(7,), Monday first: mean number on such a day; NaN where there is none."""
    per_day: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Aggregates:
    """Everything the page draws."""

    start_ms: int
    cards: int
    currency: str
    """Code, or "" where the source names none."""
    honest: ClassCounts
    fraud: ClassCounts
    local_hours: NDArray[np.int64] | None
    """(24,) card-present transactions by the hour at the merchant's longitude; None if no place is known."""
    trade_hours: dict[str, NDArray[np.int64]]
    """(24,) each, like `local_hours`, of those of `TRADE_MCC` that there are."""
    remote_hours: NDArray[np.int64]
    """(24,) card-not-present transactions by hour, UTC."""
    typologies: list[TypologyCounts]
    """Most frequent first; empty where the source tells none apart."""
    arrivals: dict[str, NDArray[np.float64]]
    """By label source, and `any`: share of frauds called fraud within `DELAY_DAYS`."""


def aggregate(history: History) -> Aggregates:
    """Count a history, some hundred thousand rows at a time; only its frauds are kept whole.

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
    kept, done = [], 0
    for batch in _batches(history.transactions_path, _OBSERVED):
        bad = fraud[done : done + batch.num_rows]
        done += batch.num_rows
        ts, cents = np.asarray(batch["ts"]), np.asarray(batch["amount_cents"])
        remote = np.asarray(pc.is_in(_texts(batch["channel"]), value_set=pa.array(REMOTE)))
        day = np.clip((ts - start) // DAY_MS, 0, days - 1)
        hour = ts // HOUR_MS % 24
        for tally, mine in zip(tallies, (~bad, bad), strict=True):
            tally.add(day[mine], hour[mine], cents[mine], remote[mine])
        remote_hours += np.bincount(hour[remote], minlength=24)
        lon = np.asarray(batch["lon"].cast(pa.float64()))
        placed = np.flatnonzero(~np.isnan(lon))
        clock = (hour[placed] + zone_of(lon[placed])) % 24
        local += np.bincount(clock, minlength=24)
        mcc = np.asarray(batch["mcc"].fill_null(0))[placed]
        for name, code in TRADE_MCC.items():
            trades[name] += np.bincount(clock[mcc == code], minlength=24)
        currencies |= set(pc.unique(_texts(batch["currency"])).drop_null().to_pylist())
        kept.append(_plain(batch.filter(pa.array(bad)), _KEPT))
    ours = pa.concat_tables(kept)
    return Aggregates(
        start_ms=start,
        cards=history.manifest.cards,
        currency=currencies.pop() if len(currencies) == 1 else "",
        honest=tallies[0].part(start),
        fraud=tallies[1].part(start),
        local_hours=local if local.any() else None,
        trade_hours={name: hours for name, hours in trades.items() if hours.any()},
        remote_hours=remote_hours,
        typologies=_typologies(ours, truth, start, days),
        arrivals=_arrivals(history, truth["tx_id"]),
    )


def _frauds(history: History) -> tuple[NDArray[np.bool_], pa.Table]:
    """Which rows of the history are fraud, and the truth of those."""
    flags, parts = [np.zeros(0, np.bool_)], []
    for batch in _batches(history.truth_path, TRUTH.names):
        flags.append(np.asarray(batch["is_fraud"]))
        parts.append(_plain(batch.filter(batch["is_fraud"]), TRUTH.names))
    return np.concatenate(flags), pa.concat_tables(parts)


class _Tally:
    """Honest or fraudulent transactions, counted batch by batch."""

    def __init__(self, days: int) -> None:
        self._per_day = np.zeros(days, np.int64)
        self._hours = np.zeros(24, np.int64)
        self._amounts = np.zeros(len(AMOUNT_EDGES) - 1, np.int64)
        self._by_cents = np.zeros(_MEDIAN_CENTS + 1, np.int64)
        self._cents = self._remote = self._remote_cents = 0

    def add(
        self,
        day: NDArray[np.int64],
        hour: NDArray[np.int64],
        cents: NDArray[np.int64],
        remote: NDArray[np.bool_],
    ) -> None:
        self._per_day += np.bincount(day, minlength=len(self._per_day))
        self._hours += np.bincount(hour, minlength=24)
        self._amounts += np.histogram(cents, AMOUNT_EDGES)[0]
        counted = np.bincount(np.clip(cents, 0, _MEDIAN_CENTS))
        self._by_cents[: len(counted)] += counted
        self._cents += int(cents.sum())
        self._remote += int(remote.sum())
        self._remote_cents += int(cents[remote].sum())

    def part(self, start_ms: int) -> ClassCounts:
        number = int(self._per_day.sum())
        below = np.cumsum(self._by_cents)
        middle = np.searchsorted(below, [(number - 1) // 2, number // 2], side="right")
        weekday = (np.arange(len(self._per_day)) + start_ms // DAY_MS + 3) % 7
        present = np.bincount(weekday, minlength=7).astype(np.float64)
        present[present == 0] = np.nan
        return ClassCounts(
            number=number,
            cents=self._cents,
            remote=self._remote,
            remote_cents=self._remote_cents,
            amounts=self._amounts,
            median_cents=float(middle.mean()) if number else 0.0,
            hours=self._hours,
            weekdays=np.bincount(weekday, weights=self._per_day, minlength=7) / present,
            per_day=self._per_day,
        )


def _typologies(ours: pa.Table, truth: pa.Table, start_ms: int, days: int) -> list[TypologyCounts]:
    """From the frauds alone, row by row the same in both tables."""
    kind = np.array(truth["typology"].to_pylist(), dtype=object)
    campaign = np.array(truth["campaign_id"].to_pylist(), dtype=object)
    ts, cents = np.asarray(ours["ts"]), np.asarray(ours["amount_cents"])
    day = np.clip((ts - start_ms) // DAY_MS, 0, days - 1)
    keys = {name: _encoded(ours[name]) for name in ("card_id", "merchant_id", "device_id")}
    found = []
    for name in sorted({word for word in kind if word is not None}):
        mine = np.flatnonzero(kind == name)
        ids, which = np.unique(campaign[mine].astype(str), return_inverse=True)
        known = ids != "None"
        sizes = np.bincount(which)
        example = None
        if known.any():
            # Of the larger ones, but not the largest: what a campaign of this kind looks like.
            # Not one that the history's first or last day cuts, unless most are: those left would be the
            # remains of long campaigns.
            cut = np.bincount(which, weights=(day[mine] == 0) | (day[mine] == days - 1)) > 0
            whole = known & ~cut
            fit = whole if 2 * whole.sum() >= known.sum() else known
            wanted = np.quantile(sizes[fit], 0.75)
            chosen = int(np.argmin(np.where(fit, np.abs(sizes - wanted), np.inf)))
            example = _campaign(str(ids[chosen]), mine[which == chosen], ts, cents, keys)
        found.append(
            TypologyCounts(
                name=name,
                frauds=len(mine),
                campaigns=int(known.sum()),
                cents=int(cents[mine].sum()),
                per_day=np.bincount(day[mine], minlength=days),
                example=example,
            )
        )
    return sorted(found, key=lambda counts: -counts.frauds)


def _campaign(
    campaign_id: str,
    rows: NDArray[np.intp],
    ts: NDArray[np.int64],
    cents: NDArray[np.int64],
    keys: dict[str, NDArray[np.int64]],
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


def _arrivals(history: History, frauds: pa.ChunkedArray) -> dict[str, NDArray[np.float64]]:
    labels = history.labels()
    row = pc.index_in(labels["tx_id"].combine_chunks(), value_set=frauds.combine_chunks())
    ours = np.asarray(pc.and_(row.is_valid(), labels["is_fraud"].combine_chunks()))
    place = np.asarray(row.fill_null(0))[ours]
    source = np.array(labels["source"].cast(pa.string()).to_pylist(), dtype=object)[ours]
    delay = np.asarray(pc.subtract(labels["known_at"], labels["ts"]))[ours] / DAY_MS
    result = {}
    for name in ("any", "analyst", "customer", "chargeback"):
        mine = np.ones(len(source), np.bool_) if name == "any" else source == name
        first = np.full(len(frauds), np.inf)
        np.minimum.at(first, place[mine], delay[mine])
        if mine.any() or name == "any":
            result[name] = np.searchsorted(np.sort(first), DELAY_DAYS, side="right") / max(len(frauds), 1)
    return result


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        yield from pq.ParquetFile(path).iter_batches(batch_size=200_000, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"history {path}: {str(error).splitlines()[0]}") from None


def _texts(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _plain(batch: pa.RecordBatch, names: list[str]) -> pa.Table:
    """Some columns, texts without a dictionary, so that batches can be put together."""
    columns = spelled(pa.Table.from_batches([batch.select(names)])).columns
    return pa.table([_texts(c) if pa.types.is_dictionary(c.type) else c for c in columns], names=names)


def _encoded(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Codes of a column of text, -1 where absent."""
    codes = column.combine_chunks().dictionary_encode().indices.fill_null(-1)
    return np.asarray(codes).astype(np.int64)
