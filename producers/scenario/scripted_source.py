"""A live stream with a script played on it; a source that yields the same records every time.

Every draw follows from the script's seed and the transaction's id, so a sender that was killed finds the same
sequence when it starts again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from heapq import merge
from operator import itemgetter

import msgspec
import numpy as np

from fraudsim.durations import duration_ms
from fraudsim.errors import FraudsimError
from fraudsim.log.events import MAX_AMOUNT_CENTS, Label, Transaction, Truth
from producers.reference import CATEGORIES, CATEGORY_INDEX
from producers.scenario.extra_traffic import ExtraTraffic
from producers.scenario.faults import FaultInjector
from producers.scenario.schema import Attack, Drift, Outage, Peak, Script
from producers.sources.source import Item, Source
from producers.world.world import World


class ScriptedSource:
    """A `Source` around another.

    Attacks and peaks add transactions, outages remove them, drifts change their amounts, and faults make bad
    data of the result, in this order.
    """

    def __init__(self, source: Source, script: Script, speed: float, world: World | None = None) -> None:
        """
        Args:
            speed: gives the limits that faults are multiples of.
            world: needed for attacks and peaks.

        Raises:
            FraudsimError: an event needs a world and there is none.
        """
        self._source = source
        self.start_ms = source.start_ms
        self._drifts = [event for event in script.events if isinstance(event, Drift)]
        self._outages = [
            (event.merchant, self._ms(event.from_), self._ms(event.until))
            for event in script.events
            if isinstance(event, Outage)
        ]
        self._extra = None if world is None else ExtraTraffic(script, world, source.start_ms)
        self._faults = FaultInjector(script, source.start_ms, speed)
        digest = hashlib.sha256(msgspec.json.encode([script, speed])).hexdigest()[:12]
        self.name = f"{source.name}-script-{digest}"
        if world is None:
            for number, event in enumerate(script.events, 1):
                if isinstance(event, Attack | Peak):
                    kind = type(event).__name__.lower()
                    raise FraudsimError(
                        f"script: event {number} ({kind}) needs the world, not a replayed file"
                    )

    def items(self) -> Iterator[Item]:
        """Every record in order of `due_ms`."""
        extra_streams = [] if self._extra is None else list(self._extra.streams())
        items = merge(self._source.items(), *extra_streams, key=itemgetter(0))
        return self._faults.apply(self._with_outages_and_drifts(items))

    def _ms(self, text: str) -> int:
        return self.start_ms + duration_ms(text)

    def _with_outages_and_drifts(self, items: Iterator[Item]) -> Iterator[Item]:
        outages, drifts = self._outages, self._drifts
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
        # A label repeats the amount but not the category: only drifts of all categories can be followed.
        for drift in drifts:
            factor = self._factor(drift, label.ts)
            if factor != 1.0 and drift.category is None:
                cents = min(max(round(label.amount_cents * factor), 1), MAX_AMOUNT_CENTS)
                label = msgspec.structs.replace(label, amount_cents=cents)
        return label

    def _factor(self, drift: Drift, ts: int) -> float:
        """The factor on amounts at an event time."""
        begin, end = self._ms(drift.from_), self._ms(drift.until)
        if ts < begin:
            return 1.0
        progress = (ts - begin) / (end - begin)
        if drift.kind == "sudden":
            return drift.amounts if progress < 1 else 1.0
        if drift.kind == "gradual":
            return 1 + (drift.amounts - 1) * min(progress, 1.0)
        return 1 + (drift.amounts - 1) * float(np.sin(np.pi * (progress % 1.0)) ** 2)
