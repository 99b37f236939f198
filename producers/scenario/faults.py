"""Bad data on a stream: late, skewed, duplicated and malformed records."""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

import msgspec

from fraudsim.durations import duration_ms
from fraudsim.log.clock import future_limit_ms, past_limit_ms
from fraudsim.log.events import Label, Transaction, encoder
from producers.rng import chance
from producers.scenario.schema import Fault, Script
from producers.sources.source import Item, RawValue

_REPEAT_AFTER_MS: Final = 50
"""An additional record is due this much wall time after the record it repeats."""


class FaultInjector:
    """Applies the faults of a script to a stream.

    Every draw follows from the script's seed and the transaction's id.
    """

    def __init__(self, script: Script, start_ms: int, speed: float) -> None:
        """`speed` gives the limits that faults are multiples of."""
        self._seed = script.seed
        self._faults = [(n, event) for n, event in enumerate(script.events) if isinstance(event, Fault)]
        self._start_ms = start_ms
        self._past_ms, self._future_ms = past_limit_ms(speed), future_limit_ms(speed)
        self._repeat_after_ms = max(1, round(_REPEAT_AFTER_MS * speed))

    def apply(self, items: Iterator[Item]) -> Iterator[Item]:
        """The records with shifted event times and additional records, in order of `due_ms`."""
        additional: list[tuple[int, int, Item]] = []
        sequence = count()
        for item in items:
            while additional and additional[0][0] <= item.due_ms:
                yield heappop(additional)[2]
            event = item.event
            yield (
                item._replace(event=self._shifted(event)) if isinstance(event, Transaction | Label) else item
            )
            if isinstance(event, Transaction):
                for repeat in self._repeats(item, event):
                    heappush(additional, (repeat.due_ms, next(sequence), repeat))
        while additional:
            yield heappop(additional)[2]

    def _ms(self, text: str) -> int:
        return self._start_ms + duration_ms(text)

    def _affecting(self, tx_id: str, ts: int, kinds: Sequence[str]) -> Iterator[tuple[Fault, float]]:
        """The faults of some kinds that affect a transaction, each with a draw in [0, 1)."""
        for number, fault in self._faults:
            if fault.kind in kinds and self._ms(fault.from_) <= ts < self._ms(fault.until):
                draw = chance(self._seed, number, tx_id)
                if draw < fault.share:
                    yield fault, draw / fault.share

    def _shifted(self, event: Transaction | Label) -> Transaction | Label:
        shift = self._shift_ms(event.tx_id, event.ts)
        return msgspec.structs.replace(event, ts=event.ts + shift) if shift else event

    def _shift_ms(self, tx_id: str, ts: int) -> int:
        """Shift of a transaction's event time against its arrival; its labels repeat the shifted time."""
        for fault, draw in self._affecting(tx_id, ts, ("late", "out_of_order", "clock_skewed")):
            limits = fault.limits or 0.0
            if fault.kind == "clock_skewed":  # a card terminal whose clock runs ahead
                return round(limits * self._future_ms)
            return -round(limits * self._past_ms * (draw if fault.kind == "out_of_order" else 1.0))
        return 0

    def _repeats(self, item: Item, tx: Transaction) -> Iterator[Item]:
        """The additional records of a transaction."""
        for fault, draw in self._affecting(tx.tx_id, tx.ts, ("duplicated", "malformed")):
            event = item.event if fault.kind == "duplicated" else malformed(tx, draw)
            yield item._replace(due_ms=item.due_ms + self._repeat_after_ms, event=event)


def malformed(tx: Transaction, draw: float) -> RawValue:
    """A value that cannot be read as a transaction, one of six kinds by `draw` in [0, 1)."""
    encoded = encoder.encode(tx)
    kinds = (
        lambda: encoded[: len(encoded) // 2],
        lambda: b"not json",
        lambda: _encode_with(tx, amount_cents=-1),
        lambda: _encode_with(tx, amount_cents="12.50"),
        lambda: _encode_with(tx, card_id=None),
        lambda: _encode_with(tx, schema_version=99),
    )
    return RawValue(value=kinds[int(draw * len(kinds)) % len(kinds)]())


def _encode_with(tx: Transaction, **fields: Any) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(tx), **fields})
