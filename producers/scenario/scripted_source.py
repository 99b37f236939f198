"""A live stream with a script played upon it; again a source, the same each time it is asked.

Every chance is drawn from the script's seed and the transaction's own id, so a sender that was killed
finds the same sequence when it starts again.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush, merge
from itertools import count
from operator import itemgetter
from typing import Any, Final

import msgspec
import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import future_limit_ms, past_limit_ms
from fraudsim.log.events import MAX_AMOUNT_CENTS, Label, Transaction, Truth, encoder
from producers.history.tables import day_tables
from producers.labels.delays import label_transactions
from producers.population.closed_shops import closed_rows, replace_closed_merchants
from producers.population.columns import DAY_MS, Columns, concatenate
from producers.population.habits import honest_transactions
from producers.reference import CATEGORIES, CATEGORY_INDEX
from producers.rng import chance, generator, mix64, salt
from producers.scenario.script import Attack, Drift, Fault, Outage, Peak, Script, duration_ms
from producers.sources.source import Item, Raw, Source
from producers.sources.world_source import label_items, label_order, transaction_items
from producers.typologies import TYPOLOGY_CLASSES
from producers.typologies.building_blocks import card_present_payments
from producers.world.day import Day
from producers.world.world import World

_AFTER_MS: Final = 50
"""A repeat is due this much wall time after the record it repeats."""


class ScriptedSource:
    """A `Source` around another."""

    def __init__(self, source: Source, script: Script, speed: float, world: World | None = None) -> None:
        """`speed` gives the limits that faults are multiples of; attacks and peaks need a world.

        Raises:
            FraudsimError: an event needs a world and there is none.
        """
        self._source = source
        self._script = script
        self._world = world
        self.start_ms = source.start_ms
        self._past_ms, self._future_ms = past_limit_ms(speed), future_limit_ms(speed)
        self._after_ms = max(1, round(_AFTER_MS * speed))
        self._by_kind = {
            kind: [(n, event) for n, event in enumerate(script.events) if isinstance(event, kind)]
            for kind in (Attack, Drift, Outage, Peak, Fault)
        }
        mark = hashlib.sha256(msgspec.json.encode([script, speed])).hexdigest()[:12]
        self.name = f"{source.name}-script-{mark}"
        if world is None:
            for number, event in enumerate(script.events, 1):
                if isinstance(event, Attack | Peak):
                    kind = type(event).__name__.lower()
                    raise FraudsimError(
                        f"script: event {number} ({kind}) needs the world, not a replayed file"
                    )

    def items(self) -> Iterator[Item]:
        """Every record in order of `due_ms`."""
        streams = [self._source.items(), *self._added()]
        return self._with_faults(self._changed(merge(*streams, key=itemgetter(0))))

    def _ms(self, text: str) -> int:
        return self.start_ms + duration_ms(text)

    def _events(self, kind: type[Any]) -> list[tuple[int, Any]]:
        return self._by_kind[kind]

    # Transactions that are added

    def _added(self) -> Iterable[Iterator[Item]]:
        world = self._world
        if world is None:
            return
        for number, attack in self._events(Attack):
            yield self._attack(world, number, attack)
        for number, peak in self._events(Peak):
            yield self._peak(world, number, peak)

    def _attack(self, world: World, number: int, attack: Attack) -> Iterator[Item]:
        scheme = next(scheme for scheme in TYPOLOGY_CLASSES if scheme.name == attack.typology)(
            0.0, attack.camouflage
        )
        at_ms = self._ms(attack.at)
        rng = generator(world.config.seed, f"script-{self._script.seed}-{number}")
        made: list[Columns] = []
        for _ in range(20 * attack.campaigns):  # a scheme may find nobody that fits
            rows = scheme.transactions(world.population, world.config.seed, at_ms // DAY_MS, rng)
            if len(rows):
                made.append(rows)
            if len(made) == attack.campaigns:
                break
        moved = [_in_open_shops(world, self._moved(rows, at_ms - int(rows.ts.min())), rng) for rows in made]
        campaign = np.repeat(np.arange(len(made), dtype=np.int32), [len(rows) for rows in made])
        ids = [f"script-{number}-{i}" for i in range(len(made))]
        return self._rows(world, number, concatenate(moved), campaign, ids, attack.typology)

    @staticmethod
    def _moved(rows: Columns, by_ms: int) -> Columns:
        return Columns(
            rows.ts + by_ms, rows.card, rows.merchant, rows.channel, rows.amount_cents, rows.device, rows.ip
        )

    def _peak(self, world: World, number: int, peak: Peak) -> Iterator[Item]:
        """Further honest days of the same people, thinned to what is asked for."""
        begin, end = self._ms(peak.from_), self._ms(peak.until)
        for day in range(begin // DAY_MS, (end - 1) // DAY_MS + 1):
            more: list[Columns] = []
            left, layer = peak.times - 1, 0
            while left > 0:
                seed = int(
                    salt(world.config.seed, "script-peak", self._script.seed, number, layer) >> np.uint64(2)
                )
                rows = honest_transactions(world.population, seed, day)
                keep = (rows.ts >= begin) & (rows.ts < end)
                if left < 1:
                    keep &= generator(seed, "thin", day).random(len(rows)) < left
                more.append(rows.take(keep))
                left, layer = left - 1, layer + 1
            rows = concatenate(more)
            yield from self._rows(
                world, number * 100_000 + day, rows, np.full(len(rows), -1, np.int32), [], None
            )

    def _rows(
        self,
        world: World,
        key: int,
        rows: Columns,
        campaign: np.ndarray[Any, np.dtype[np.int32]],
        campaign_ids: list[str],
        typology: str | None,
    ) -> Iterator[Item]:
        """Columns as transactions with ids, truth and labels of their own."""
        order = np.argsort(rows.ts, kind="stable")
        rows, campaign = rows.take(order), campaign[order]
        mixed = salt(world.config.seed, "script-tx", self._script.seed, key)
        day = Day(
            number=0,
            transactions=rows,
            tx_number=mix64(np.arange(len(rows), dtype=np.uint64) ^ mixed),
            typology=np.where(campaign >= 0, 0, -1).astype(np.int8),
            campaign=campaign,
            campaign_ids=campaign_ids,
            labels=label_transactions(
                rows.ts,
                rows.card,
                campaign >= 0,
                world.config.delays,
                generator(world.config.seed, "script-labels", self._script.seed, key),
            ),
        )
        tables = day_tables(world.population, day, [typology or ""]).with_text_ids()
        labels = sorted(label_items(tables.labels), key=label_order)
        return merge(transaction_items(tables), labels, key=itemgetter(0))

    # Transactions that are changed or left out

    def _changed(self, items: Iterator[Item]) -> Iterator[Item]:
        outages = [(e.merchant, self._ms(e.from_), self._ms(e.until)) for _, e in self._events(Outage)]
        drifts = [event for _, event in self._events(Drift)]
        left_out: set[str] = set()
        for item in items:
            event = item.event
            if isinstance(event, Transaction):
                if any(event.merchant_id == m and a <= event.ts < b for m, a, b in outages):
                    left_out.add(event.tx_id)
                    continue
                for drift in drifts:
                    event = self._drifted(event, drift)
                yield item._replace(event=event)
            elif isinstance(event, Truth | Label) and event.tx_id in left_out:
                continue
            elif isinstance(event, Label) and drifts:
                yield item._replace(event=self._drifted_label(event, drifts))
            else:
                yield item

    def _drifted(self, tx: Transaction, drift: Drift) -> Transaction:
        factor = self._factor(drift, tx.ts)
        if factor == 1.0 or (
            drift.category is not None and tx.mcc != CATEGORIES[CATEGORY_INDEX[drift.category]].mcc
        ):
            return tx
        cents = min(max(round(tx.amount_cents * factor), 1), MAX_AMOUNT_CENTS)
        return msgspec.structs.replace(tx, amount_cents=cents)

    def _drifted_label(self, label: Label, drifts: Sequence[Drift]) -> Label:
        # A label repeats the amount, but not the category: only drifts of everything can be followed.
        for drift in drifts:
            factor = self._factor(drift, label.ts)
            if factor != 1.0 and drift.category is None:
                cents = min(max(round(label.amount_cents * factor), 1), MAX_AMOUNT_CENTS)
                label = msgspec.structs.replace(label, amount_cents=cents)
        return label

    def _factor(self, drift: Drift, ts: int) -> float:
        begin, end = self._ms(drift.from_), self._ms(drift.until)
        if ts < begin:
            return 1.0
        done = (ts - begin) / (end - begin)
        if drift.kind == "sudden":
            return drift.amounts if done < 1 else 1.0
        if drift.kind == "gradual":
            return 1 + (drift.amounts - 1) * min(done, 1.0)
        return 1 + (drift.amounts - 1) * float(np.sin(np.pi * (done % 1.0)) ** 2)

    # Faults

    def _with_faults(self, items: Iterator[Item]) -> Iterator[Item]:
        later: list[tuple[int, int, Item]] = []
        number = count()
        for item in items:
            while later and later[0][0] <= item.due_ms:
                yield heappop(later)[2]
            event = item.event
            yield (
                item._replace(event=self._shifted(event)) if isinstance(event, Transaction | Label) else item
            )
            if isinstance(event, Transaction):
                for other in self._further(item, event):
                    heappush(later, (other.due_ms, next(number), other))
        while later:
            yield heappop(later)[2]

    def _struck(self, tx_id: str, ts: int, kinds: Sequence[str]) -> Iterator[tuple[Fault, float]]:
        """The faults of some kinds that strike a transaction, each with a chance in [0, 1) of its own."""
        for number, fault in self._events(Fault):
            if fault.kind in kinds and self._ms(fault.from_) <= ts < self._ms(fault.until):
                draw = chance(self._script.seed, number, tx_id)
                if draw < fault.share:
                    yield fault, draw / fault.share

    def _shifted(self, event: Transaction | Label) -> Transaction | Label:
        shift = self._shift_ms(event.tx_id, event.ts)
        return msgspec.structs.replace(event, ts=event.ts + shift) if shift else event

    def _shift_ms(self, tx_id: str, ts: int) -> int:
        """How far a transaction's event time is off from when it arrives; its labels repeat that time."""
        for fault, draw in self._struck(tx_id, ts, ("late", "out_of_order", "clock_skewed")):
            limits = fault.limits or 0.0
            if fault.kind == "clock_skewed":  # a card terminal whose clock runs ahead
                return round(limits * self._future_ms)
            return -round(limits * self._past_ms * (draw if fault.kind == "out_of_order" else 1.0))
        return 0

    def _further(self, item: Item, tx: Transaction) -> Iterator[Item]:
        """Records that a transaction brings with it."""
        for fault, draw in self._struck(tx.tx_id, tx.ts, ("duplicated", "malformed")):
            event = item.event if fault.kind == "duplicated" else broken(tx, draw)
            yield item._replace(due_ms=item.due_ms + self._after_ms, event=event)


def _in_open_shops(world: World, rows: Columns, rng: np.random.Generator) -> Columns:
    """A campaign moved in time, its payments at shops that are closed by then made at others in town."""
    closed = closed_rows(world.population, rows.ts, rows.merchant)
    if not len(closed):
        return rows
    late = rows.take(closed)
    shops = replace_closed_merchants(world.population, late.ts, late.merchant, rng)
    paid = card_present_payments(world.population, late.ts, late.card, shops, late.amount_cents)
    return concatenate([rows.take(np.setdiff1d(np.arange(len(rows)), closed)), paid])


def broken(tx: Transaction, chance: float) -> Raw:
    """A value that cannot be read as a transaction, one of six kinds by `chance` in [0, 1)."""
    whole = encoder.encode(tx)
    kinds = (
        lambda: whole[: len(whole) // 2],
        lambda: b"not json",
        lambda: _with(tx, amount_cents=-1),
        lambda: _with(tx, amount_cents="12.50"),
        lambda: _with(tx, card_id=None),
        lambda: _with(tx, schema_version=99),
    )
    return Raw(value=kinds[int(chance * len(kinds)) % len(kinds)]())


def _with(tx: Transaction, **fields: Any) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(tx), **fields})
