"""A source whose people react to what stops their payments. Pure.

Fraud campaigns lower amounts, go elsewhere, take another card or end, each typology in its way
(`producers.sources.reactions`); honest customers try again, or leave. What stopped a payment, and when that
is certain, is `outcome_of`'s to say. All draws follow from the seed and from ids.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Final

import msgspec
import numpy as np

from fraudsim.log.events import Transaction, Truth
from fraudsim.log.topics import TRANSACTIONS
from producers.history.tables import card_id, merchant_id
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment, Outcome, Stop, outcome_of
from producers.population.amounts import MIN_CENTS, chargeable_amounts
from producers.population.closed_shops import closed_rows
from producers.reference import COUNTRIES
from producers.rng import chance
from producers.sources import reactions
from producers.sources.source import Item, Source
from producers.world.world import World

LOWER_FACTOR: Final = 0.6
"""Of the amount, for every further stop."""
MERCHANT_DRAWS: Final = 4
"""Merchants drawn for "elsewhere"; if all are closed, the campaign stays at its own."""
MAX_TRACKED: Final = 50_000
"""Latest transactions kept for decisions on them; decisions on older ones are ignored."""


@dataclass(slots=True)
class _Sent:
    """A transaction of the source, kept until its outcome is certain."""

    tx: Transaction
    campaign: str | None


@dataclass(slots=True)
class _Unit:
    """A campaign, or one card of a campaign, as far as it has been stopped."""

    stops: int = 0
    last_stop: Stop = "decline"


class ReactingSource:
    """A `Source` around another, with hooks that apply the reactions.

    `items` yields the source's records unchanged, so they can be prefetched; `react` is called just before a
    record is sent and may change it; `retries` gives what honest customers try again by then.

    Args:
        rules: consequences of decisions.
    """

    def __init__(self, source: Source, world: World, rules: Consequences) -> None:
        self._source = source
        self._world = world
        self._rules = rules
        self._seed = world.config.seed
        self._sent: dict[str, _Sent] = {}
        self._typology_of: dict[str, str | None] = {}
        """By campaign."""
        self._decisions: deque[DecidedPayment] = deque()
        self._verdicts: deque[tuple[str, int]] = deque()
        self._under_review: dict[str, tuple[DecidedPayment, _Sent]] = {}
        self._outcomes: list[tuple[int, int, _Sent, Outcome]] = []
        """Heap of (time at which it is certain, sequence number, transaction, outcome) of stopped ones."""
        self._units: dict[str, _Unit] = {}
        self._retries: list[tuple[int, str, Transaction]] = []
        self._leavers: set[str] = set()
        """Cards whose honest customer has left."""
        self._left_out: set[str] = set()
        self._sequence = count()
        self._resumed_ms: int | None = None
        """Due time of the first record of this start: retries before it were an earlier start's."""
        self.counts: Counter[str] = Counter()
        """Transactions changed, left out or added, by reaction."""
        self.name = f"{source.name}-reacting"
        self.start_ms = source.start_ms

    def items(self) -> Iterator[Item]:
        """The source's records."""
        for item in self._source.items():
            self.track(item)
            yield item

    def track(self, item: Item) -> None:
        """Take in a record that will be sent: of the source, or added to it while it is sent."""
        event = item.event
        if isinstance(event, Transaction):
            self._sent[event.tx_id] = _Sent(event, item.campaign_id)
            if len(self._sent) > MAX_TRACKED:
                del self._sent[next(iter(self._sent))]
        elif isinstance(event, Truth) and event.campaign_id is not None:
            self._typology_of[event.campaign_id] = event.typology

    def add_decision(self, payment: DecidedPayment) -> None:
        """Take in a decision other than an approval; from any thread."""
        self._decisions.append(payment)

    def add_verdict(self, tx_id: str, known_ms: int) -> None:
        """Take in an analyst's verdict; from any thread."""
        self._verdicts.append((tx_id, known_ms))

    def react(self, item: Item) -> Item | None:
        """The record as it is to be sent; None if nobody makes that payment any more."""
        if self._resumed_ms is None:
            self._resumed_ms = item.due_ms
        self._take_in(item.due_ms)
        event = item.event
        if isinstance(event, Truth) and event.tx_id in self._left_out:
            self._left_out.remove(event.tx_id)
            return None
        if not isinstance(event, Transaction):
            return item
        if item.campaign_id is not None:
            return self._fraud_reaction(item, event, item.campaign_id)
        if event.card_id in self._leavers:
            self.counts["left"] += 1
            return None
        return item

    def retries(self, now_ms: int) -> list[Item]:
        """The payments that honest customers try again by `now_ms`; call it after `react`."""
        due = []
        while self._retries and self._retries[0][0] <= now_ms:
            due_ms, _, tx = heappop(self._retries)
            if tx.card_id not in self._leavers:
                self.counts["retry"] += 1
                due.append(Item(due_ms, TRANSACTIONS, tx.card_id, tx))
        return due

    # What was decided

    def _take_in(self, now_ms: int) -> None:
        """Apply every outcome that is certain by `now_ms`."""
        while self._decisions:
            payment = self._decisions.popleft()
            sent = self._sent.get(payment.tx_id)
            if sent is None:
                continue
            # As it was sent: the campaign may have changed it.
            if payment.action == "review":
                self._under_review[payment.tx_id] = (payment, sent)
                if len(self._under_review) > MAX_TRACKED:
                    del self._under_review[next(iter(self._under_review))]
            else:
                self._add_outcome(payment, sent, None)
        for _ in range(len(self._verdicts)):
            tx_id, known_ms = self._verdicts.popleft()
            reviewed = self._under_review.pop(tx_id, None)
            if reviewed is not None:
                self._add_outcome(*reviewed, known_ms)
        while self._outcomes and self._outcomes[0][0] <= now_ms:
            _, _, sent, outcome = heappop(self._outcomes)
            self._apply(sent, outcome)

    def _add_outcome(self, payment: DecidedPayment, sent: _Sent, reviewed_ms: int | None) -> None:
        outcome = outcome_of(payment, sent.campaign is not None, self._rules, self._seed, reviewed_ms)
        if not outcome.paid:
            heappush(self._outcomes, (outcome.final_ms, next(self._sequence), sent, outcome))

    def _apply(self, sent: _Sent, outcome: Outcome) -> None:
        tx = sent.tx
        if sent.campaign is not None:
            assert outcome.stopped_by is not None
            if reactions.does_react(sent.campaign, self._rules, self._seed):
                unit = self._units.setdefault(self._unit_of(sent.campaign, tx), _Unit())
                unit.stops += 1
                unit.last_stop = outcome.stopped_by
        elif outcome.reaction == "leaves":
            self._leavers.add(tx.card_id)
        elif outcome.reaction == "retries":
            self._plan_retry(tx, reactions.retry_ms(tx.tx_id, outcome.final_ms, self._seed))

    def _plan_retry(self, tx: Transaction, at_ms: int) -> None:
        if self._resumed_ms is not None and at_ms < self._resumed_ms:
            return
        cents = tx.amount_cents
        if reactions.lowers_retry(tx.tx_id, self._seed):
            cents = self._chargeable(tx, cents * LOWER_FACTOR)
        retry = msgspec.structs.replace(
            tx, tx_id=f"{tx.tx_id}{reactions.RETRY_SUFFIX}", ts=at_ms, amount_cents=cents
        )
        heappush(self._retries, (at_ms, retry.tx_id, retry))

    # What a campaign does next

    def _unit_of(self, campaign: str, tx: Transaction) -> str:
        by_card = reactions.reactions_of(self._typology_of.get(campaign)).by_card
        return f"{campaign}/{tx.card_id}" if by_card else campaign

    def _fraud_reaction(self, item: Item, tx: Transaction, campaign: str) -> Item | None:
        name = self._unit_of(campaign, tx)
        unit = self._units.get(name)
        if unit is None:
            return item
        table = reactions.reactions_of(self._typology_of.get(campaign))
        excess_stops = unit.stops - reactions.patience_of(name, table, unit.last_stop, self._seed)
        if excess_stops < 0:
            return item
        reaction = reactions.reaction_of(name, table, unit.last_stop, self._seed)
        self.counts[reaction] += 1
        if reaction == "end":
            self._left_out.add(tx.tx_id)
            return None
        if reaction == "lower":
            cents = self._chargeable(tx, tx.amount_cents * LOWER_FACTOR ** (excess_stops + 1))
            return item._replace(event=msgspec.structs.replace(tx, amount_cents=cents))
        if reaction == "elsewhere":
            return item._replace(event=self._elsewhere(tx))
        if reaction == "move_on":
            card = self._other_card(name, unit.stops)
            return item._replace(key=card, event=msgspec.structs.replace(tx, card_id=card))
        return item

    def _chargeable(self, tx: Transaction, cents: float) -> int:
        """An amount that the transaction's merchant may charge, near `cents`."""
        amounts = np.array([max(round(cents), MIN_CENTS)], np.int64)
        return int(chargeable_amounts(self._world.population, _merchant(tx), amounts)[0])

    def _elsewhere(self, tx: Transaction) -> Transaction:
        """The same purchase at another open merchant of the category; unchanged if all drawn are closed."""
        population = self._world.population
        merchants = population.merchants
        category = merchants.category[_merchant(tx)].astype(np.int64)
        draws = np.array([chance(self._seed, "elsewhere", tx.tx_id, n) for n in range(MERCHANT_DRAWS)])
        candidates = population.merchants_by_category.pick(np.repeat(category, MERCHANT_DRAWS), draws)
        closed = closed_rows(population, np.full(MERCHANT_DRAWS, tx.ts), candidates)
        open_merchants = np.delete(candidates, closed)
        if not len(open_merchants):
            return tx
        chosen = int(open_merchants[0])
        has_location = tx.lat is not None
        return msgspec.structs.replace(
            tx,
            merchant_id=merchant_id(chosen),
            country=COUNTRIES[int(merchants.country[chosen])],
            lat=float(merchants.lat[chosen]) if has_location else None,
            lon=float(merchants.lon[chosen]) if has_location else None,
        )

    def _other_card(self, unit: str, stops: int) -> str:
        """The card that a campaign uses next; it changes with every stop."""
        cards = len(self._world.population.cards)
        return card_id(int(chance(self._seed, "card", unit, stops) * cards))


def _merchant(tx: Transaction) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    assert tx.merchant_id is not None
    return np.array([int(tx.merchant_id[1:])], np.int32)
