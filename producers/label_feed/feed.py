"""The rules of the label feed: which labels are sent, when, and in which order. Pure.

No state is kept between starts. Given the source, the decisions and the labels that the log holds, a new feed
returns the labels that are missing.
"""

from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Final

import msgspec

from fraudsim.archive.first_decisions import FirstDecisions
from fraudsim.log.events import Label, Segment, Transaction, Truth
from fraudsim.log.partitioning import partition_of
from producers.controls.controls import Placement
from producers.controls.drift import Drifts
from producers.labels.back_office import BackOffice
from producers.labels.outcome import DecidedPayment
from producers.sources.source import Item, Source

MAX_FRAUDS: Final = 1_000_000
"""Frauds kept with the decision on each; beyond this number the oldest are dropped."""
LabelKey = tuple[str, str, bool]
"""Transaction, source, verdict: a source gives the same verdict on a transaction only once."""


class FeedReport(msgspec.Struct, kw_only=True):
    """What the feed sent, over all starts of one run."""

    sent: dict[str, int]
    """Labels in the log, by source."""
    decisions: dict[str, int]
    """By action, and by outcome of step-ups and reviews."""
    withheld: int
    """Labels of the world that were not sent, because the payment did not go through."""
    undecided: int
    """Labels of transactions without a decision."""
    delayed: int
    """Labels whose `known_at` was moved to now, because they were due too long ago to be valid."""
    complete: bool


class LabelFeed:
    """Turns a live stream's decisions and truth into labels."""

    def __init__(
        self,
        source: Source,
        office: BackOffice,
        partitions: int,
        end_ms: float,
        late_ms: int,
        logged: Iterable[LabelKey] = (),
    ) -> None:
        """
        Args:
            partitions: of `decisions`.
            end_ms: event time; labels known then or later are not sent.
            late_ms: event time by which a transaction may be older than its position in the source.
            logged: labels that the log holds.
        """
        self._items = source.items()
        self._start_ms = source.start_ms
        self._next: Item | None = next(self._items, None)
        self._office = office
        self._end_ms = end_ms
        self._late_ms = late_ms
        self._frauds: dict[str, DecidedPayment | None] = {}
        """Fraudulent transactions by id, with the decision once there is one."""
        self._due: list[tuple[int, int, Label, bool]] = []
        """Heap of (known_at, sequence number, label, whether it is the world's and not the back office's)."""
        self._sequence = count()
        self._decided_to = [-1] * partitions
        """By partition, the latest event time of a decided transaction, ms."""
        self._last_ts = self._start_ms
        """Event time of the stream's latest transaction that was read from the source."""
        self.first = FirstDecisions()
        self._sent_keys = set(logged)
        self._partitions = partitions
        self._drifts = Drifts()
        self.sent = Counter(source for _, source, _ in self._sent_keys)
        self.withheld = 0
        self.undecided = 0
        self.delayed = 0

    def add_decision(self, partition: int, payment: DecidedPayment) -> None:
        """Take in a decision, in the order of its partition; only the first for a source offset counts."""
        if not self.first.is_first(partition, payment.source_offset):
            return
        self._decided_to[partition] = max(self._decided_to[partition], payment.ts)
        self._read_source(payment.ts + self._late_ms)
        is_fraud = payment.tx_id in self._frauds
        if is_fraud:
            self._frauds[payment.tx_id] = payment
        for label in self._office.on_decision(payment, is_fraud):
            self._add(label, from_world=False)

    def add_placement(self, placement: Placement, items: Iterable[Item]) -> None:
        """Take in an attack or a drift of the stream before the decisions on what it changes.

        Args:
            items: the attack's records.
        """
        self._drifts.add(placement)
        for item in items:
            self._take(item)

    def due_labels(self, now_ms: int, segment: Segment, wait_ms: int) -> list[Label]:
        """Labels to be sent now.

        Args:
            now_ms: event time.
            segment: the clock's current segment.
            wait_ms: event time for which a label waits for the decision on its transaction, once those after
                it are decided; 0 at the end of the stream: no label waits.
        """
        now_ms = int(min(now_ms, self._end_ms))
        self._read_source(now_ms)
        for label in self._office.advance(now_ms):
            self._add(label, from_world=False)
        due, waiting = [], []
        while self._due and self._due[0][0] <= now_ms:
            known_at, number, label, from_world = heappop(self._due)
            if known_at >= self._end_ms:
                continue
            if from_world and not self._is_decided(label):
                if now_ms - known_at < wait_ms or (wait_ms and not self._is_passed(label)):
                    waiting.append((known_at, number, label, from_world))
                else:
                    self.undecided += 1
                continue
            if from_world:
                admitted_from_ms = self._office.admitted_from_ms(label)
                if admitted_from_ms is None:
                    self.withheld += 1
                    continue
                if admitted_from_ms > now_ms:
                    waiting.append((known_at, number, label, from_world))
                    continue
                label = msgspec.structs.replace(label, known_at=admitted_from_ms)
            due.append(self._with_valid_time(self._as_decided(label), now_ms, segment))
        for entry in waiting:
            heappush(self._due, entry)
        return [label for label in due if self._mark_sent(label)]

    def is_decided_to_end(self, margin_ms: float) -> bool:
        """Whether some of the source's transactions in the last `margin_ms` of the stream are decided.

        If not, its sender may be paused, whatever the clock says. Ask once event time has passed the end.
        """
        self._read_source(round(self._end_ms))
        return max(self._decided_to) >= self._last_ts - margin_ms

    def _read_source(self, until_ms: int) -> None:
        while self._next is not None and self._next.due_ms <= until_ms:
            self._take(self._next)
            self._next = next(self._items, None)

    def _take(self, item: Item) -> None:
        event = item.event
        if isinstance(event, Label):
            self._add(event, from_world=True)
        elif isinstance(event, Transaction) and item.due_ms < self._end_ms:
            self._last_ts = max(self._last_ts, event.ts)
        elif isinstance(event, Truth) and event.is_fraud:
            self._frauds[event.tx_id] = None
            if len(self._frauds) > MAX_FRAUDS:
                del self._frauds[next(iter(self._frauds))]

    def _add(self, label: Label, from_world: bool) -> None:
        heappush(self._due, (label.known_at, next(self._sequence), label, from_world))

    def _is_decided(self, label: Label) -> bool:
        """Whether the label's transaction has been decided.

        A fraud's decision is stored by transaction id. Of honest transactions only the stopped ones are
        stored; for the others, the decisions of a partition come in the order of its transactions.
        """
        if label.tx_id in self._frauds:
            return self._frauds[label.tx_id] is not None
        return label.ts < self._start_ms or self._is_passed(label)

    def _is_passed(self, label: Label) -> bool:
        """Whether a later transaction of its partition is decided; if not, sender or scorer may be paused."""
        return self._decided_to[partition_of(label.card_id, self._partitions)] >= label.ts

    def _as_decided(self, label: Label) -> Label:
        """The label with the keys of the decided transaction, which a reacting campaign may have changed."""
        payment = self._frauds.get(label.tx_id)
        if payment is None:
            return self._drifts.applied(label)
        return msgspec.structs.replace(
            label,
            card_id=payment.card_id,
            ts=payment.ts,
            amount_cents=payment.amount_cents,
            merchant_id=payment.merchant_id,
        )

    def _with_valid_time(self, label: Label, now_ms: int, segment: Segment) -> Label:
        """The label; with `known_at` now if it is so old that the log would not accept it any more."""
        if now_ms - label.known_at <= segment.past_ms // 2 or key_of(label) in self._sent_keys:
            return label
        self.delayed += 1
        return msgspec.structs.replace(label, known_at=now_ms)

    def _mark_sent(self, label: Label) -> bool:
        """Whether the label is new; it counts as sent from now on."""
        key = key_of(label)
        if key in self._sent_keys:
            return False
        self._sent_keys.add(key)
        self.sent[label.source] += 1
        return True

    def report(self, complete: bool) -> FeedReport:
        return FeedReport(
            sent=dict(sorted(self.sent.items())),
            decisions={name: n for name, n in sorted(self._office.counts.items()) if n},
            withheld=self.withheld,
            undecided=self.undecided,
            delayed=self.delayed,
            complete=complete,
        )


def key_of(label: Label) -> LabelKey:
    return (label.tx_id, label.source, label.is_fraud)
