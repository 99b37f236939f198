"""The schedule as a source of the producer's sender."""

import random
from collections.abc import Iterator

import msgspec

from fraudsim.arrays import Ints
from fraudsim.log.events import Segment, Transaction
from fraudsim.log.topics import TRANSACTIONS
from load_tests.load.generators.bodies import VARIETY, made_up_transaction, read_bodies, without_own_fields
from load_tests.load.generators.plan import LoadPlan
from producers.sources.source import Item


class ScheduledSource:
    """Transactions at a schedule's times; a `Source` whose name no other run bears.

    Times are whole milliseconds of wall clock: the sender hands over at these.
    """

    def __init__(self, plan: LoadPlan, segment: Segment, start_ms: int) -> None:
        """
        Args:
            segment: the clock's, which runs.
            start_ms: wall clock time of the schedule's start.
        """
        self.name = f"load-{plan.run_id}"
        self._segment = segment
        self._start_ms = start_ms
        self._offsets_ms: Ints = plan.schedule() // 1000
        self._transactions = _transactions(plan)
        self.start_ms = self._event_ms(start_ms)

    def _event_ms(self, wall_ms: int) -> int:
        # Rounded down: rounded up it would be due a tick later.
        segment = self._segment
        return segment.event_epoch_ms + int((wall_ms - segment.wall_epoch_ms) * segment.speed)

    def items(self) -> Iterator[Item]:
        """Every transaction in order."""
        for number, offset_ms in enumerate(self._offsets_ms.tolist()):
            due_ms = self._event_ms(self._start_ms + offset_ms)
            template = self._transactions[number % len(self._transactions)]
            event = msgspec.structs.replace(template, tx_id=f"{self.name}-{number}", ts=due_ms)
            yield Item(due_ms, TRANSACTIONS, event.card_id, event)


def _transactions(plan: LoadPlan) -> list[Transaction]:
    """The transactions that repeat under new ids: a file's, or made-up ones.

    Raises:
        FraudsimError: the file holds what is no transaction.
    """
    if plan.bodies is None:
        rng = random.Random(plan.seed)
        count = min(VARIETY, max(1, round(plan.rate * plan.seconds)))
        rests = [made_up_transaction(rng) for _ in range(count)]
    else:
        rests = [without_own_fields(body, plan.bodies) for body in read_bodies(plan.bodies)]
    return [msgspec.convert({**rest, "tx_id": "load", "ts": 0}, Transaction) for rest in rests]
