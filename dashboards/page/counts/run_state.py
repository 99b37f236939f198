"""All that the page counts of one log, record by record. Pure."""

from collections import Counter, OrderedDict, deque
from operator import itemgetter
from typing import Any, Final

import msgspec

from dashboards.drift.decided_weeks import DRIFT_OF
from dashboards.drift.monitor import DriftMonitor
from dashboards.outcomes import AwaitedDecision
from dashboards.page.counts.beside import Beside
from dashboards.page.counts.control_list import ControlList
from dashboards.page.counts.money import LiveLedger
from dashboards.page.counts.seconds import RunLatencies, Seconds
from dashboards.page.counts.undecided import Undecided
from dashboards.watch_metrics import SCORE
from fraudsim import metrics
from fraudsim.archive.first_decisions import FirstDecisions
from fraudsim.log import topics
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import add_segments
from fraudsim.log.events import decode_control, decode_dead_letter, decode_label, decode_truth
from producers.labels.consequences import Consequences
from producers.ledger.entry import UNNAMED, Fraud
from stream_features.catalogue.features import NAMES

LATEST: Final = 50
"""Decisions of an update, of all and of those that are no approval."""
RAW: Final = 4_000
"""Latest decisions that can be opened, and as many of those that are no approval."""
CARDS: Final = 20_000
"""Cards whose latest payments are kept."""
CARD_PAYMENTS: Final = 40
DRIFT_REFERENCE: Final = 5_000
"""Decisions, the first that are read, that drift is measured against."""
_drifting: Final = itemgetter(*(NAMES.index(name) for name in DRIFT_OF))


class _TransactionId(msgspec.Struct):
    tx_id: str


class _Intended(msgspec.Struct, frozen=True, gc=False):
    intended: int = 0
    decided: int = 0


class SeenDecision(AwaitedDecision, frozen=True, kw_only=True, gc=False):
    """The part of a `Decision` that the page counts and lists."""

    reasons: list[str] = msgspec.field(default_factory=list)
    model_version: str = ""
    policy_version: str = ""
    variant: str = ""
    via: str = "stream"
    stale: bool = False
    degraded: bool = False
    uncertain: bool = False
    staleness_ms: float = 0.0
    stamps: _Intended = _Intended()
    features: list[float | None] = msgspec.field(default_factory=list)


_decode_decision: Final = msgspec.json.Decoder(SeenDecision).decode
_decode_id: Final = msgspec.json.Decoder(_TransactionId).decode


class RunState:
    """Counts of one log. Records of a partition come in the log's order."""

    def __init__(self, rules: Consequences, seed: int, cards: int | None) -> None:
        self.clock = Clock()
        self.controls = ControlList()
        self.undecided = Undecided()
        self.first = FirstDecisions()
        self.seconds = Seconds()
        self.latencies = RunLatencies()
        self.money = LiveLedger(rules, seed, cards)
        self.beside = Beside(rules, seed, cards)
        self.drift = DriftMonitor((SCORE, *DRIFT_OF), DRIFT_REFERENCE)
        self.decided = 0
        self.actions: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.arms: Counter[tuple[str, str]] = Counter()
        """Decisions by model version and what it was chosen as."""
        self.labels: Counter[tuple[str, bool]] = Counter()
        """Labels by source, and whether they say fraud."""
        self.dead_letters = 0
        self.unreadable = 0
        self.last_ts = 0
        """Event time of the newest decision."""
        self.policy_version = ""
        self.staleness_ms: deque[float] = deque(maxlen=500)
        self.latest: deque[SeenDecision] = deque(maxlen=LATEST)
        self.latest_flagged: deque[SeenDecision] = deque(maxlen=LATEST)
        self.predicted_frauds = 0.0
        """Sum of the probabilities of the decisions about which the truth is known."""
        self.frauds = 0
        self.true_frauds: OrderedDict[str, Fraud] = OrderedDict()
        """The latest frauds by transaction, of which the truth has been read."""
        self.reported: OrderedDict[str, dict[str, Any]] = OrderedDict()
        """Cards with labels of fraud, by the latest such label."""
        self._raw: OrderedDict[str, bytes] = OrderedDict()
        self._raw_flagged: OrderedDict[str, bytes] = OrderedDict()
        self._cards: OrderedDict[str, deque[SeenDecision]] = OrderedDict()
        self._dead_keys: set[tuple[str, int, int]] = set()
        self._adders: Final = {
            topics.DECISIONS: self._add_decision,
            topics.LABELS: self._add_label,
            topics.LAGGED_DECISIONS: self.beside.add_decision,
            topics.TRUTH: self._add_truth,
            topics.DEAD_LETTERS: self._add_dead_letter,
        }

    def add_record(self, topic: str, record: Any, now_s: float) -> None:
        """Add a Kafka record, at a monotonic time; one that cannot be read is counted."""
        if topic == topics.CLOCK:
            add_segments(self.clock, [record])
            return
        if topic == topics.CONTROL:
            self._add_control(record)
            return
        if topic == topics.TRANSACTIONS:
            event = read_event(record.value, _decode_id, record.headers)
            tx_id = None if isinstance(event, Rejected) else event.tx_id
            self.undecided.add_transaction(record.partition, record.offset, tx_id)
            return
        add = self._adders[topic]
        try:
            add(record, now_s)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1
            metrics.WATCH_UNREADABLE.labels(topic).inc()

    def advance(self, now_s: float) -> None:
        """Post the money of what has waited long enough for the truth."""
        for posting in self.money.advance(now_s):
            decision = posting.payment
            assert isinstance(decision, SeenDecision)
            self.predicted_frauds += decision.probability or 0.0
            self.frauds += posting.fraud is not None
        self.beside.money.advance(now_s)

    def raw_decision(self, tx_id: str) -> bytes | None:
        """A decision as it is in the log; None once it is forgotten."""
        return self._raw_flagged.get(tx_id) or self._raw.get(tx_id)

    def payments_of(self, card_id: str) -> list[SeenDecision]:
        """The latest decided payments of a card, the oldest first."""
        return list(self._cards.get(card_id, ()))

    def _add_control(self, record: Any) -> None:
        control = read_event(record.value, decode_control, record.headers)
        if isinstance(control, Rejected) or self.controls.add(control, record.timestamp) is not None:
            self.unreadable += 1
            metrics.WATCH_UNREADABLE.labels(topics.CONTROL).inc()

    def _add_decision(self, record: Any, now_s: float) -> None:
        value = record.value or b""
        decision = _decode_decision(value)
        if not self.first.is_first(record.partition, decision.source_offset):
            return
        self.decided += 1
        self.undecided.add_decision(record.partition, decision.source_offset)
        self.actions[decision.action] += 1
        self.arms[decision.model_version, decision.variant] += 1
        for flag in ("stale", "degraded", "uncertain"):
            self.flags[flag] += getattr(decision, flag)
        self.last_ts = max(self.last_ts, decision.ts)
        self.policy_version = decision.policy_version
        intended_us = decision.stamps.intended
        latency_ms = record.timestamp - intended_us / 1000 if intended_us else None
        self.seconds.add(record.timestamp, None if latency_ms is None else max(latency_ms, 0.0))
        if latency_ms is not None:
            self.latencies.add(latency_ms)
        if not decision.degraded:
            self.staleness_ms.append(decision.staleness_ms)
            if len(decision.features) == len(NAMES):
                self.drift.add([decision.score, *_drifting(decision.features)])
        self._keep(decision, value)
        if decision.via == "stream":  # the truth says nothing about transactions of HTTP clients
            self.money.add_decision(decision, now_s)

    def _keep(self, decision: SeenDecision, value: bytes) -> None:
        kept = msgspec.structs.replace(decision, features=[])
        self.latest.append(kept)
        _put(self._raw, decision.tx_id, value, RAW)
        if decision.action != "approve":
            self.latest_flagged.append(kept)
            _put(self._raw_flagged, decision.tx_id, value, RAW)
        payments = self._cards.get(decision.card_id)
        if payments is None:
            payments = deque(maxlen=CARD_PAYMENTS)
            _put(self._cards, decision.card_id, payments, CARDS)
        payments.append(kept)

    def _add_label(self, record: Any, now_s: float) -> None:
        label = decode_label(record.value or b"")
        self.labels[label.source, label.is_fraud] += 1
        self.money.add_label(label)
        if label.is_fraud:
            card = self.reported.pop(label.card_id, {"card_id": label.card_id, "reports": 0, "cents": 0})
            latest = {
                "source": label.source,
                "known_at": label.known_at,
                "first_ts": card.get("first_ts", label.ts),
            }
            card |= latest | {"reports": card["reports"] + 1, "cents": card["cents"] + label.amount_cents}
            _put(self.reported, label.card_id, card, CARDS)

    def _add_truth(self, record: Any, now_s: float) -> None:
        truth = decode_truth(record.value or b"")
        if truth.is_fraud:
            fraud = Fraud(truth.typology or UNNAMED, truth.campaign_id or "")
            self.money.add_fraud(truth.tx_id, fraud)
            self.beside.money.add_fraud(truth.tx_id, fraud)
            _put(self.true_frauds, truth.tx_id, fraud, CARDS)

    def _add_dead_letter(self, record: Any, now_s: float) -> None:
        letter = decode_dead_letter(record.value or b"")
        key = (letter.topic, letter.partition, letter.offset)
        if key in self._dead_keys:  # written again by the slot's next owner
            return
        self._dead_keys.add(key)
        self.dead_letters += 1
        if letter.topic == topics.TRANSACTIONS:
            self.undecided.add_dead_letter(letter.partition, letter.offset)


def _put(table: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    table[key] = value
    if len(table) > most:
        table.popitem(last=False)
