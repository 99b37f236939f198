"""The metrics of `watch`: calibration, drift, labels; money is `money_metrics`'."""

from bisect import bisect_left
from collections import Counter
from typing import Final, get_args

import msgspec
import structlog

from dashboards.drift.decided_weeks import DRIFT_OF
from dashboards.drift.monitor import DriftMonitor
from dashboards.money_metrics import MoneyMetrics
from dashboards.outcomes import AwaitedDecision, AwaitingTruth, DecisionTruth
from dashboards.recent_frauds import RecentFrauds
from fraudsim import metrics
from fraudsim.archive.first_decisions import FirstDecisions
from fraudsim.log.events import Label, LabelSource, decode_label, decode_truth
from fraudsim.log.topics import DECISIONS, LABELS
from model.training.maturity import MaturityCurve
from producers.ledger.book import Posting
from producers.ledger.entry import UNNAMED, Fraud
from stream_features.catalogue.features import NAMES

SCORE: Final = "score"
MAX_WAITING: Final = 200_000
"""Decisions, of about half a kB each, that may wait for the truth at once."""

_log = structlog.get_logger()
_DRIFT_INDICES: Final = [NAMES.index(name) for name in DRIFT_OF]
_EDGES: Final = tuple(map(str, metrics.CALIBRATION_BUCKETS))


class WatchedDecision(AwaitedDecision, frozen=True, kw_only=True, gc=False):
    """The part of a `Decision` that is watched."""

    features: list[float | None]
    via: str = "stream"
    degraded: bool = False


_decode: Final = msgspec.json.Decoder(WatchedDecision).decode


class WatchMetrics:
    """Counts records of decisions, truth and labels as metrics."""

    def __init__(
        self, wait_s: float, reference: int, money: MoneyMetrics, maturity: MaturityCurve | None = None
    ) -> None:
        """See `AwaitingTruth` for `wait_s` and `RecentFrauds` for `maturity`; `reference` is the size of the
        `DriftMonitor`."""
        self._recent = RecentFrauds(maturity)
        self._money = money
        self._awaiting = AwaitingTruth(wait_s, MAX_WAITING)
        self.first = FirstDecisions()
        self._drift = DriftMonitor((SCORE, *DRIFT_OF), reference)
        self.outcome_counts: Counter[str] = Counter()
        """Decisions whose truth is known, by `fraud` and `honest`."""
        # Every counter starts at 0 here: Prometheus does not see the first step of one that appears later.
        for edge in _EDGES:
            metrics.CALIBRATION_DECISIONS.labels(edge)
            metrics.CALIBRATION_PROBABILITY.labels(edge)
            metrics.CALIBRATION_FRAUDS.labels(edge)
        for source in get_args(LabelSource):
            for verdict in ("fraud", "honest"):
                metrics.LABEL_DELAY.labels(source, verdict)

    def add_record(self, topic: str, partition: int, value: bytes | None, now_s: float) -> None:
        """Add a record, in the order of its partition, at a monotonic time."""
        try:
            if topic == DECISIONS:
                self._add_decision(partition, _decode(value or b""), now_s)
            elif topic == LABELS:
                self._add_label(decode_label(value or b""))
            else:
                truth = decode_truth(value or b"")
                if truth.is_fraud:
                    fraud = Fraud(truth.typology or UNNAMED, truth.campaign_id or "")
                    self._awaiting.add_fraud(truth.tx_id, fraud)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            metrics.WATCH_UNREADABLE.labels(topic).inc()
            _log.warning("unreadable record left out", topic=topic, partition=partition, error=str(error))

    def count_due(self, now_s: float) -> None:
        """Count the decisions that have waited long enough; call it when all truth so far has been added."""
        for truth in self._awaiting.pop_due(now_s):
            self._count(truth)

    def export_drift(self) -> None:
        """Set the drift gauges from the latest decisions."""
        for name, psi in self._drift.indices().items():
            metrics.DRIFT.labels(name).set(psi.value)
            metrics.DRIFT_LIMIT.labels(name).set(psi.limit)

    def export_recent_frauds(self) -> None:
        """Set the gauges of recent fraud by labels."""
        for recent in self._recent.rates():
            days, rate = str(recent.days), recent.rate
            metrics.RECENT_KNOWN_SHARE.labels(days).set(rate.known_share)
            metrics.RECENT_FRAUD_RATE.labels(days, "known").set(rate.known_rate)
            metrics.RECENT_FRAUD_RATE.labels(days, "mature").set(recent.mature_rate)

    def _add_decision(self, partition: int, decision: WatchedDecision, now_s: float) -> None:
        # The truth says nothing about transactions of HTTP clients.
        if not self.first.is_first(partition, decision.source_offset) or decision.via != "stream":
            return
        self._recent.add_payment(decision.ts)
        # Without state most features are unknown: that is no drift, and has a counter of its own.
        if not decision.degraded and len(decision.features) == len(NAMES):
            self._drift.add([(decision.score, *(decision.features[i] for i in _DRIFT_INDICES))])
        self._awaiting.add_decisions(
            [msgspec.convert(decision, AwaitedDecision, from_attributes=True)], now_s
        )

    def _add_label(self, label: Label) -> None:
        verdict = "fraud" if label.is_fraud else "honest"
        metrics.LABEL_DELAY.labels(label.source, verdict).observe((label.known_at - label.ts) / 1000)
        self._money.add_label(label)
        self._recent.add_label(label)

    def _count(self, truth: DecisionTruth) -> None:
        decision, fraud = truth
        self.outcome_counts["honest" if fraud is None else "fraud"] += 1
        self._money.add(Posting(decision, fraud))
        if decision.probability is not None:
            edge = _EDGES[
                min(bisect_left(metrics.CALIBRATION_BUCKETS, decision.probability), len(_EDGES) - 1)
            ]
            metrics.CALIBRATION_DECISIONS.labels(edge).inc()
            metrics.CALIBRATION_PROBABILITY.labels(edge).inc(max(decision.probability, 0.0))
            metrics.CALIBRATION_FRAUDS.labels(edge).inc(fraud is not None)
