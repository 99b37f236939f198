"""The analysts' desk divided between the arms of an experiment: no arm waits for another's cases. Pure."""

from collections.abc import Hashable
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from producers.labels.analyst_desk import AnalystDesk, ReviewedCase
from producers.labels.consequences import HOUR_MS, MINUTE_MS, Consequences

C = TypeVar("C", bound=Hashable)


class ArmShare(msgspec.Struct, frozen=True, gc=False):
    """The arm that a card belongs to; its fields are named as in `Assignment`."""

    arm: str = ""
    """The challenger's version; empty for the champion."""
    share: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Of the cards, and so of the analysts and the daily limits."""


UNDIVIDED: Final = ArmShare()


class DividedDesk(Generic[C]):
    """One desk for each arm, with the arm's share of the analysts.

    So the reviews of an arm follow from its own cards alone. An analyst whose arm has no case does not help
    the other arm out: some of their time is lost while an experiment runs.
    """

    def __init__(self, rules: Consequences) -> None:
        self._rules = rules
        self._desks: dict[str, AnalystDesk[C]] = {}

    @property
    def waiting(self) -> int:
        """Cases that wait for an analyst."""
        return sum(desk.waiting for desk in self._desks.values())

    @property
    def crowded_out(self) -> int:
        """Cases dropped because their arm's queue was full."""
        return sum(desk.crowded_out for desk in self._desks.values())

    @property
    def gone_stale(self) -> int:
        """Cases dropped because they had waited too long."""
        return sum(desk.gone_stale for desk in self._desks.values())

    def add(self, case: C, at_ms: int, priority: float, arm: ArmShare | None = None) -> None:
        """Add a case that arrives at an event time; see `AnalystDesk.add`. Without an arm: the champion's."""
        arm = arm or UNDIVIDED
        desk = self._desks.get(arm.arm)
        if desk is None:
            rules = self._rules
            desk = self._desks[arm.arm] = AnalystDesk(
                int(rules.analysts),
                round(rules.review_minutes * MINUTE_MS),
                int(rules.review_queue),
                round(rules.review_patience_hours * HOUR_MS),
            )
        desk.add(case, at_ms, priority, arm.share)

    def advance(self, now_ms: int) -> list[ReviewedCase[C]]:
        """Advance event time; the cases of all arms whose review has started, in the order of their ends."""
        reviewed = [case for desk in self._desks.values() for case in desk.advance(now_ms)]
        if len(self._desks) > 1:
            reviewed.sort(key=lambda case: case.done_ms)
        return reviewed
