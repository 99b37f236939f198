"""What the line carries from one stretch to the next: the back office, blocks, labels to come, campaigns."""

from collections import Counter
from heapq import heappop, heappush
from itertools import count
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from fraudsim.log.events import Block, Label, Transaction
from producers.labels.back_office import BackOffice
from producers.labels.blocks import BLOCKING_SOURCES, CardBlocks
from producers.labels.consequences import MINUTE_MS, Consequences
from producers.labels.outcome import DecidedPayment
from producers.labels.prices import Price
from producers.ledger.account import Basis
from producers.ledger.entry import Entry, entry_of
from producers.ledger.ledger import Ledger
from simulator.line.campaigns import ReactingCampaigns
from simulator.line.decided import DecidedStretch
from simulator.line.jobs import Jobs
from simulator.line.scoring import Scoring
from simulator.line.split_scoring import SplitScoring
from simulator.line.traffic import SimulatedTraffic
from simulator.regimes import Regime
from stream_features.catalogue.features import DAY

EventKind = Literal["label", "desk", "job"]


class Event(NamedTuple):
    """Something that happens at an event time; of several at one time in the order of their numbers."""

    at_ms: int
    number: int
    kind: EventKind
    label: Label | None
    from_world: bool


class OpenReview(NamedTuple):
    """A payment on the analysts' desk, and where its decision stands."""

    payment: DecidedPayment
    decided: DecidedStretch
    row: int
    counted: bool = False
    """Whether the payment is in the ledger already: it was approved, and reviewed later."""


class LineState:
    """The state of a simulated line.

    Args:
        scoring: None for a regime without a model.
        reacting: whether campaigns react to what stops them; needs a world.
    """

    def __init__(
        self,
        traffic: SimulatedTraffic,
        regime: Regime,
        scoring: Scoring | SplitScoring | None,
        rules: Consequences,
        *,
        reacting: bool,
    ) -> None:
        self.regime, self.scoring, self.rules, self.seed = regime, scoring, rules, traffic.seed
        self.office = BackOffice(rules, traffic.seed, traffic.longest_days * DAY)
        self.campaigns = ReactingCampaigns(traffic.world, rules) if reacting and traffic.world else None
        self.jobs = None if regime.acts == "at once" else Jobs(regime)
        self.events: list[Event] = []
        """A heap of what is to come."""
        self.reviews: dict[str, OpenReview] = {}
        self.changed: dict[str, Transaction] = {}
        """Payments that campaigns changed, by id: their labels bear the new keys."""
        self.left_out: set[str] = set()
        """Ids of payments that campaigns did not make."""
        self.blocked_until: dict[str, int] = {}
        """By card, when its last block ends."""
        self.counts: Counter[str] = Counter()
        """Labels by source, and those that never came to be."""
        self.ledger = Ledger("truth", Basis(traffic.cards, traffic.days * DAY))
        self._blocks = CardBlocks(rules.block_ms)
        self._job_blocks: dict[str, Block] = {}
        self._numbers = count()
        self._desk_step_ms = max(1_000, round(rules.review_minutes * MINUTE_MS) // 2)
        self._desk_awake = False

    def add_event(
        self, at_ms: int, kind: EventKind, label: Label | None = None, *, from_world: bool = False
    ) -> None:
        """Let something happen at an event time."""
        heappush(self.events, Event(at_ms, next(self._numbers), kind, label, from_world))

    def next_event(self) -> Event:
        """The earliest event, which is removed."""
        event = heappop(self.events)
        if event.kind == "desk":
            self._desk_awake = False
        return event

    def wake_desk(self, now_ms: int) -> None:
        """While cases wait, look at the desk again before one that starts meanwhile could be over."""
        if self.office.waiting and not self._desk_awake:
            self._desk_awake = True
            self.add_event(now_ms + self._desk_step_ms, "desk")

    def resolve_review(self, review: OpenReview, reviewed_ms: int | None) -> Entry:
        """Note what became of a reviewed payment; None: nobody came to it."""
        fraud = review.decided.stretch.fraud(review.row)
        entry = entry_of(review.payment, fraud, self.rules, self.seed, reviewed_ms)
        if review.counted:
            self.charge_later(review.decided, review.row, Price(review=entry.price.review))
        else:
            review.decided.resolve_row(review.row, entry)
            self.ledger.add(entry)
        return entry

    def close(self) -> None:
        """Resolve the reviews that nobody has come to by the end."""
        for review in self.reviews.values():
            self.resolve_review(review, None)
        self.reviews.clear()

    def charge_later(self, decided: DecidedStretch, row: int, price: Price) -> None:
        """Add what is spent on a payment that is in the ledger already, or will be with its stretch."""
        decided.prices[row] += np.array(price)
        self.ledger.total.friction_cents += price.friction
        self.ledger.total.review_cents += price.review

    def admitted_from_ms(self, label: Label) -> int | None:
        """When a label of the world can occur; None, and counted, if it never does."""
        admitted_ms = None if label.tx_id in self.left_out else self.office.admitted_from_ms(label)
        if admitted_ms is None:
            self.counts["undecided" if label.tx_id in self.left_out else "withheld"] += 1
        return admitted_ms

    def as_decided(self, label: Label) -> Label:
        """The label with the keys of the payment as a campaign made it."""
        tx = self.changed.get(label.tx_id)
        if tx is None:
            return label
        return msgspec.structs.replace(
            label, card_id=tx.card_id, amount_cents=tx.amount_cents, merchant_id=tx.merchant_id
        )

    def add_block(self, label: Label) -> int | None:
        """Take a label in for the blocks; returns when the block ends that may begin with it."""
        self._blocks.add(label)
        if not label.is_fraud or label.source not in BLOCKING_SOURCES or not self.rules.block_ms:
            return None
        until_ms = label.known_at + self.rules.block_ms
        self._hold(label.card_id, until_ms)
        return until_ms

    def block_by_job(self, card_id: str, block: Block) -> None:
        """Block a card by what a job found."""
        self._job_blocks[card_id] = block
        self._hold(card_id, block.until_ms)

    def _hold(self, card_id: str, until_ms: int) -> None:
        self.blocked_until[card_id] = max(until_ms, self.blocked_until.get(card_id, 0))

    def block_of(self, card_id: str, ts: int) -> Block | None:
        """The block of a card for a payment at `ts`."""
        if card_id not in self.blocked_until:
            return None
        block = self._blocks.at(card_id, ts)
        by_job = self._job_blocks.get(card_id)
        if block is None and by_job is not None and by_job.from_ms < ts < by_job.until_ms:
            return by_job
        return block

    def forget(self, before_ms: int) -> None:
        """Forget the blocks that end by `before_ms`."""
        self._blocks.prune(before_ms)
        for card in [card for card, until_ms in self.blocked_until.items() if until_ms <= before_ms]:
            del self.blocked_until[card]
            self._job_blocks.pop(card, None)
