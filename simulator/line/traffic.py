"""Stretches of traffic: some days of a world, or of a public file's history, with labels and truth."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.id_columns import spelled
from fraudsim.arrays import Flags, Ints
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label, Transaction
from producers.history.reader import History, world_of
from producers.history.tables import Tables, day_tables
from producers.ledger.entry import UNNAMED, Fraud
from producers.world.world import World
from stream_features.catalogue.features import DAY
from stream_features.offline.columns import codes

ROWS: Final = 100_000
"""A stretch has about so many transactions, in whole days, at most `DAYS`."""
DAYS: Final = 10


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some whole days: transactions in order of (ts, tx_id), every label they will get, and the truth."""

    start_ms: int
    end_ms: int
    transactions: pa.Table
    labels: pa.Table
    truth: pa.Table

    def __len__(self) -> int:
        return int(self.transactions.num_rows)

    @cached_property
    def is_fraud(self) -> Flags:
        return self.truth["is_fraud"].to_numpy().astype(np.bool_)

    @cached_property
    def typology(self) -> tuple[Ints, list[str | None]]:
        """By row, the index of its typology among the names; -1 where it is honest."""
        return codes(self.truth, "typology")

    @cached_property
    def campaign(self) -> tuple[Ints, list[str | None]]:
        """By row, the index of its campaign among the ids; -1 without one."""
        return codes(self.truth, "campaign_id")

    @cached_property
    def tx_ids(self) -> list[str]:
        ids: list[str] = self.transactions["tx_id"].to_pylist()
        return ids

    @cached_property
    def _values(self) -> list[Callable[[int], Any]]:
        """By column, what gives the value of a row: far faster than a row of an Arrow table."""
        return [_value_at(values.combine_chunks()) for values in self.transactions.columns]

    def transaction(self, row: int) -> Transaction:
        """A row as an event."""
        values = zip(self.transactions.column_names, self._values, strict=True)
        return Transaction(**{name: value(row) for name, value in values})

    def fraud(self, row: int) -> Fraud | None:
        """What the truth says of a row; None where it is honest."""
        if not self.is_fraud[row]:
            return None
        (types, type_names), (campaigns, campaign_ids) = self.typology, self.campaign
        typology, campaign = int(types[row]), int(campaigns[row])
        return Fraud(
            (type_names[typology] or UNNAMED) if typology >= 0 else UNNAMED,
            (campaign_ids[campaign] or "") if campaign >= 0 else "",
        )

    def events(self) -> list[Label]:
        """The labels as events, by (known_at, tx_id, source)."""
        return labels_of(self.labels)


def _value_at(array: pa.Array) -> Callable[[int], Any]:
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if pa.types.is_dictionary(array.type):
        words = [*array.dictionary.to_pylist(), None]
        indices = array.indices.fill_null(-1).to_pylist()
        return lambda row: words[indices[row]]
    if pa.types.is_string(array.type):
        return lambda row: array[row].as_py()
    return array.to_pylist().__getitem__


def labels_of(table: pa.Table) -> list[Label]:
    """A table of labels as events, by (known_at, tx_id, source)."""
    labels = [Label(**row) for row in table.to_pylist()]
    return sorted(labels, key=lambda label: (label.known_at, label.tx_id, label.source))


def world_traffic(world: World, first_day: int, days: int, most_days: int = DAYS) -> Iterator[Stretch]:
    """The days of a world from `first_day` on, `most_days` a stretch; it never repeats itself."""
    names = [typology.name for typology in world.typologies]
    tables: list[Tables] = []
    begin = first_day
    for number in range(first_day, first_day + days):
        tables.append(day_tables(world.population, world.day(number), names))
        rows = sum(part.transactions.num_rows for part in tables)
        if rows >= ROWS or len(tables) == most_days or number == first_day + days - 1:
            merged = Tables(
                *(spelled(pa.concat_tables(parts, promote_options="default").unify_dictionaries())
                  for parts in zip(*tables, strict=True))
            )  # fmt: skip
            yield Stretch(world.day_start_ms(begin), world.day_start_ms(number + 1), *merged)
            tables, begin = [], number + 1


def file_traffic(history: History, from_ms: int, most_days: int = DAYS) -> Iterator[Stretch]:
    """The end of a history of a public file, from `from_ms` on."""
    transactions, truth, labels = history.transactions(), history.truth(), history.labels()
    ts = transactions["ts"].to_numpy()
    start, end_ms = from_ms, history.manifest.end_ms
    while start < end_ms:
        end = min(start + DAY, end_ms)
        while end < end_ms and end - start < most_days * DAY and np.sum((ts >= start) & (ts < end)) < ROWS:
            end = min(end + DAY, end_ms)
        rows = pa.array(np.flatnonzero((ts >= start) & (ts < end)))
        chosen = pc.and_(pc.greater_equal(labels["ts"], start), pc.less(labels["ts"], end))
        yield Stretch(start, end, transactions.take(rows), labels.filter(chosen), truth.take(rows))
        start = end


@dataclass(frozen=True)
class SimulatedTraffic:
    """What is simulated: the transactions after `start_ms`, and everything before."""

    start_ms: int
    past: pa.Table
    """Transactions before `start_ms`."""
    labels_before: pa.Table
    """Every label of these, known before `start_ms` or later."""
    world: World | None
    seed: int
    """Of replies and verdicts."""
    longest_days: int
    """No label becomes known later than this after its transaction."""
    cards: int
    days: int
    history: History
    stretch_days: int = DAYS
    """Days of a stretch at most; what is decided does not depend on it."""

    def stretches(self) -> Iterator[Stretch]:
        """The transactions in order of time."""
        if self.world is not None:
            first = self.history.manifest.days
            return world_traffic(self.world, first, self.days, self.stretch_days)
        return file_traffic(self.history, self.start_ms, self.stretch_days)


def traffic_of(history: History, days: int) -> SimulatedTraffic:
    """The `days` that follow a world's history, or the last `days` of a public file's.

    Raises:
        FraudsimError: a file's history has no more than `days`.
    """
    manifest = history.manifest
    if manifest.source == "world":
        world = world_of(history)
        delays = world.config.delays
        return SimulatedTraffic(
            manifest.end_ms, history.transactions(), history.labels(), world, world.config.seed,
            delays.longest_days, manifest.cards, days, history,
        )  # fmt: skip
    start_ms = manifest.end_ms - days * DAY
    if start_ms <= manifest.start_ms:
        raise FraudsimError(
            f"--days {days}: history {history.directory} of a {manifest.source} file has {manifest.days} "
            "days, and the last of them are simulated; give fewer"
        )
    transactions, labels = history.transactions(), history.labels()
    return SimulatedTraffic(
        start_ms, transactions.filter(pc.less(transactions["ts"], start_ms)),
        labels.filter(pc.less(labels["ts"], start_ms)), None, manifest.seed, 121, manifest.cards,
        days, history,
    )  # fmt: skip
