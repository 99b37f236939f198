"""Amounts that somebody changed: the factor in force at an event time. Pure."""

from bisect import bisect_left
from typing import TypeVar

import msgspec

from fraudsim.log.events import MAX_AMOUNT_CENTS, Label, Transaction
from producers.controls.controls import Placement

E = TypeVar("E")


class Drifts:
    """The drifts that have been placed; each lasts until the next."""

    def __init__(self) -> None:
        self._from_ms: list[int] = []
        self._factors: list[float] = []

    def add(self, placement: Placement) -> None:
        """Take in a placement, in the order of their event times; one that is no drift changes nothing."""
        if placement.control.amounts is not None:
            self._from_ms.append(placement.at_ms)
            self._factors.append(placement.control.amounts)

    def applied(self, event: E) -> E:
        """A transaction or a label with its amount as it drifted; anything else as it is.

        What is as old as a drift's place may have been sent before it, and does not follow it.
        """
        if not self._from_ms or not isinstance(event, Transaction | Label):
            return event
        index = bisect_left(self._from_ms, event.ts) - 1
        if index < 0 or self._factors[index] == 1.0:
            return event
        cents = min(max(round(event.amount_cents * self._factors[index]), 1), MAX_AMOUNT_CENTS)
        return msgspec.structs.replace(event, amount_cents=cents)
