"""All that the page counts of one log. Pure."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from dashboards.drift.decided_weeks import DRIFT_OF
from dashboards.drift.monitor import DriftMonitor
from dashboards.page.counts.beside import Beside
from dashboards.page.counts.bounded_tables import remember
from dashboards.page.counts.calibration import CalibrationBands
from dashboards.page.counts.control_list import ControlList
from dashboards.page.counts.kept_decisions import KeptDecisions
from dashboards.page.counts.money import LiveLedger
from dashboards.page.counts.seconds import RunLatencies, Seconds
from dashboards.page.counts.seen_decision import Kinds, SeenDecision
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

CARDS: Final = 20_000
"""Cards with reported fraud that are kept, and frauds of which the truth is."""
DRIFT_REFERENCE: Final = 5_000
"""Decisions, the first that are read, that drift is measured against."""
_drifting: Final = itemgetter(*(NAMES.index(name) for name in DRIFT_OF))


class _TransactionId(msgspec.Struct):
    tx_id: str


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
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
        self.kinds = Kinds()
        self.kept = KeptDecisions()
        self.labels: Counter[tuple[str, bool]] = Counter()
        """Labels by source, and whether they say fraud."""
        self.dead_letters = 0
        self.unreadable = 0
        self.last_ts = 0
        """Event time of the newest decision."""
        self.policy_version = ""
        self.staleness_ms: deque[float] = deque(maxlen=500)
        self.calibration = CalibrationBands()
        self.true_frauds: OrderedDict[str, Fraud] = OrderedDict()
        """The latest frauds by transaction, of which the truth has been read."""
        self.reported: OrderedDict[str, dict[str, Any]] = OrderedDict()
        """Cards with labels of fraud, by the latest such label."""
        self._dead_keys: set[tuple[str, int, int]] = set()
        self._adders: Final = {
            topics.CONTROL: self._add_control,
            topics.LABELS: self._add_label,
            topics.LAGGED_DECISIONS: self.beside.add_decision,
            topics.TRUTH: self._add_truth,
            topics.DEAD_LETTERS: self._add_dead_letter,
        }

    def add_records(self, topic: str, records: Sequence[Any], now_s: float) -> None:
        """Add Kafka records of one partition, at a monotonic time; one that cannot be read is counted."""
        if topic == topics.TRANSACTIONS:
            self._add_transactions(records)
        elif topic == topics.DECISIONS:
            self._add_decisions(records, now_s)
        elif topic == topics.CLOCK:
            add_segments(self.clock, records)
        else:
            for record in records:
                try:
                    self._adders[topic](record, now_s)
                except UNREADABLE:
                    self._count_unreadable(topic)

    def advance(self, now_s: float) -> None:
        """Post the money of what has waited long enough for the truth."""
        for decision, fraud in self.money.advance(now_s):
            if decision.probability is not None:
                self.calibration.add(decision.probability, fraud is not None)
        self.beside.money.advance(now_s)

    def _count_unreadable(self, topic: str) -> None:
        self.unreadable += 1
        metrics.WATCH_UNREADABLE.labels(topic).inc()

    def _add_control(self, record: Any, now_s: float) -> None:
        control = read_event(record.value, decode_control, record.headers)
        if isinstance(control, Rejected) or self.controls.add(control, record.timestamp) is not None:
            self._count_unreadable(topics.CONTROL)

    def _add_transactions(self, records: Sequence[Any]) -> None:
        for record in records:
            event = read_event(record.value, _decode_id, record.headers)
            tx_id = None if isinstance(event, Rejected) else event.tx_id
            self.undecided.add_transaction(record.partition, record.offset, tx_id)

    def _add_decisions(self, records: Sequence[Any], now_s: float) -> None:
        # Whole lists, because a line makes thousands a second: one pass for each thing that is counted.
        pairs = list(self._first_decisions(records))
        if not pairs:
            return
        decisions = [decision for _, decision in pairs]
        self.decided += len(decisions)
        self.undecided.add_decisions(records[0].partition, [d.source_offset for d in decisions])
        self.kinds.add(decisions)
        self.last_ts = max(self.last_ts, *(d.ts for d in decisions))
        self.policy_version = decisions[-1].policy_version
        self._add_latencies(pairs)
        with_state = [d for d in decisions if not d.degraded]
        self.staleness_ms.extend(d.staleness_ms for d in with_state)
        self.drift.add((d.score, *_drifting(d.features)) for d in with_state if len(d.features) == len(NAMES))
        kept = [msgspec.structs.replace(decision, features=[]) for decision in decisions]
        self.kept.add(kept, [record.value for record, _ in pairs])
        # The truth says nothing about transactions of HTTP clients.
        self.money.add_decisions((d for d in kept if d.via == "stream"), now_s)

    def _first_decisions(self, records: Sequence[Any]) -> Iterable[tuple[Any, SeenDecision]]:
        """Each record whose decision counts, with the decision."""
        for record in records:
            try:
                decision = _decode_decision(record.value or b"")
            except UNREADABLE:
                self._count_unreadable(topics.DECISIONS)
                continue
            if self.first.is_first(record.partition, decision.source_offset):
                yield record, decision

    def _add_latencies(self, pairs: Sequence[tuple[Any, SeenDecision]]) -> None:
        for second, appended in groupby(pairs, lambda pair: pair[0].timestamp // 1000):
            stamps = [(record.timestamp, decision.stamps.intended) for record, decision in appended]
            latencies_ms = [at_ms - intended / 1000 for at_ms, intended in stamps if intended]
            self.seconds.add(second, len(stamps), [max(ms, 0.0) for ms in latencies_ms])
            self.latencies.add(latencies_ms)

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
            remember(self.reported, label.card_id, card, CARDS)

    def _add_truth(self, record: Any, now_s: float) -> None:
        truth = decode_truth(record.value or b"")
        if truth.is_fraud:
            fraud = Fraud(truth.typology or UNNAMED, truth.campaign_id or "")
            self.money.add_fraud(truth.tx_id, fraud)
            self.beside.money.add_fraud(truth.tx_id, fraud)
            remember(self.true_frauds, truth.tx_id, fraud, CARDS)

    def _add_dead_letter(self, record: Any, now_s: float) -> None:
        letter = decode_dead_letter(record.value or b"")
        key = (letter.topic, letter.partition, letter.offset)
        if key in self._dead_keys:  # written again by the slot's next owner
            return
        self._dead_keys.add(key)
        self.dead_letters += 1
        if letter.topic == topics.TRANSACTIONS:
            self.undecided.add_dead_letter(letter.partition, letter.offset)
