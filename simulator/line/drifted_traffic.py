"""Traffic that changes by a script: amounts drift, a field goes missing, fraud becomes another."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Doubles, Ints
from fraudsim.durations import duration_ms
from fraudsim.log.events import MAX_AMOUNT_CENTS
from producers.reference import CATEGORIES, CATEGORY_INDEX
from producers.rng import generator
from producers.scenario.schema import Drift
from producers.world.world import World
from simulator.line.traffic import SimulatedTraffic, Stretch, world_traffic
from stream_features.catalogue.features import DAY

_AMOUNT: Final = "amount_cents"


@dataclass(frozen=True)
class BrokenFeed:
    """From a day on, counted from the start, a field is missing in a share of the transactions."""

    field: str
    from_day: int
    share: float


@dataclass(frozen=True)
class OtherFraud:
    """From a day on, counted from the start, fraud is that of another world of the same people."""

    from_day: int
    world: World


@dataclass(frozen=True)
class DriftedTraffic(SimulatedTraffic):
    """A world's traffic with what changes in it; times count from the start of the simulated days."""

    drifts: tuple[Drift, ...] = ()
    feeds: tuple[BrokenFeed, ...] = ()
    other_fraud: OtherFraud | None = None

    def stretches(self) -> Iterator[Stretch]:
        """The transactions in order of time."""
        for stretch in self._unchanged():
            yield self._changed(stretch)

    def _unchanged(self) -> Iterator[Stretch]:
        other, first = self.other_fraud, self.history.manifest.days
        if other is None or self.world is None:
            yield from super().stretches()
            return
        until = min(other.from_day, self.days)
        yield from world_traffic(self.world, first, until, self.stretch_days)
        if until < self.days:
            yield from world_traffic(other.world, first + until, self.days - until, self.stretch_days)

    def _changed(self, stretch: Stretch) -> Stretch:
        table, labels = stretch.transactions, stretch.labels
        for drift in self.drifts:
            table = _with_amounts(table, self._factors(drift, table))
            if drift.category is None:  # a label repeats the amount, but not the category
                labels = _with_amounts(labels, self._factors(drift, labels))
        for feed in self.feeds:
            table = self._without(feed, table, stretch.start_ms)
        return replace(stretch, transactions=table, labels=labels)

    def _factors(self, drift: Drift, table: pa.Table) -> Doubles:
        """The factor on each amount; as `ScriptedSource` has it."""
        ts = table["ts"].to_numpy() - self.start_ms
        begin, end = duration_ms(drift.from_), duration_ms(drift.until)
        progress = (ts - begin) / (end - begin)
        if drift.kind == "sudden":
            strength = np.where(progress < 1, 1.0, 0.0)
        elif drift.kind == "gradual":
            strength = np.minimum(progress, 1.0)
        else:
            strength = np.sin(np.pi * (progress % 1.0)) ** 2
        factors: Doubles = np.where(progress < 0, 1.0, 1 + (drift.amounts - 1) * strength)
        if drift.category is not None:
            mcc = CATEGORIES[CATEGORY_INDEX[drift.category]].mcc
            factors[table["mcc"].to_numpy(zero_copy_only=False) != mcc] = 1.0
        return factors

    def _without(self, feed: BrokenFeed, table: pa.Table, start_ms: int) -> pa.Table:
        draws = generator(self.seed, "broken feed", start_ms // DAY).random(table.num_rows)
        ts: Ints = table["ts"].to_numpy()
        missing = (ts >= self.start_ms + feed.from_day * DAY) & (draws < feed.share)
        index = table.column_names.index(feed.field)
        kind = table.schema.field(feed.field).type
        values = table[feed.field].to_pylist()
        kept = [None if gone else value for value, gone in zip(values, missing.tolist(), strict=True)]
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        column = pa.array(kept, plain)
        column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column
        return table.set_column(index, feed.field, column)


def _with_amounts(table: pa.Table, factors: Doubles) -> pa.Table:
    cents = table[_AMOUNT].to_numpy()
    changed = np.where(factors == 1.0, cents, np.clip(np.rint(cents * factors), 1, MAX_AMOUNT_CENTS))
    return table.set_column(
        table.column_names.index(_AMOUNT), _AMOUNT, pa.array(changed.astype(np.int64), pa.int64())
    )
