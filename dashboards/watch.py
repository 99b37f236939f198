"""Reading decisions, truth and labels from Kafka, and counting what comes of them as metrics."""

import asyncio
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
import structlog

from dashboards.drift import DriftMonitor
from dashboards.outcomes import OUTCOME, AwaitedDecision, AwaitingTruth, DecisionTruth
from fraudsim import metrics
from fraudsim.archive.first_decisions import FirstDecisions
from fraudsim.log.events import Label, LabelSource, decode_label, decode_truth
from fraudsim.log.lenient_records import read_past_unreadable_headers
from fraudsim.log.topics import DECISIONS, LABELS, TRUTH
from fraudsim.settings import Settings
from producers.sender.log_ends import partitions_of
from producers.typologies import SCHEMES
from stream_features.catalogue.features import NAMES

TOPICS: Final = (DECISIONS, TRUTH, LABELS)
SCORE: Final = "score"
DRIFT_OF: Final = (
    "amount", "channel", "mcc", "card_count_1h", "card_count_24h", "card_sum_24h", "card_since_last",
    "card_ratio_30d", "device_cards_24h", "merchant_count_1h", "merchant_fraud_7d", "ip_cards_24h",
)  # fmt: skip
"""Features whose drift is shown, beside the score: some of each entity."""
MOST_WAITING: Final = 200_000
"""Decisions, of about half a kB each, that wait for the truth at once."""
TRUTH_BEFORE: Final = 1_000
"""Records of a partition of truth that are read from before the present: a fraud may be named before it is
decided."""
MOST_TYPOLOGIES: Final = 50
"""Names beyond so many are counted as one."""
POLL_MS: Final = 500
"""The broker holds a fetch back this long, or until it fills `FETCH_BYTES`: nobody waits for it."""
FETCH_BYTES: Final = 1024 * 1024
REPORT_EVERY_S: Final = 2.0

_log = structlog.get_logger()
_decode = msgspec.json.Decoder(AwaitedDecision).decode
_PLACES: Final = [NAMES.index(name) for name in DRIFT_OF]
_EDGES: Final = tuple(map(str, metrics.CALIBRATION_BUCKETS))


def run_watch(
    settings: Settings, stop: threading.Event, *, from_start: bool, wait_s: float, reference: int
) -> dict[str, int]:
    """Watch until `stop`; returns how many decisions were counted, were fraud, were left out as repeated.

    Args:
        from_start: from the log's start, else from its present end.
        wait_s: see `AwaitingTruth`.
        reference: rows of `DriftMonitor`.

    Raises:
        FraudsimError: a topic is missing.
    """
    figures = WatchMetrics(wait_s, reference)
    asyncio.run(_follow(settings, stop, figures, from_start))
    return {
        "decisions": figures.settled["fraud"] + figures.settled["honest"],
        "frauds": figures.settled["fraud"],
        "repeated": figures.first.repeated,
    }


class WatchMetrics:
    """What the records come to, as metrics."""

    def __init__(self, wait_s: float, reference: int) -> None:
        self._awaiting = AwaitingTruth(wait_s, MOST_WAITING)
        self.first = FirstDecisions()
        self._drift = DriftMonitor((SCORE, *DRIFT_OF), reference)
        self._typologies: set[str] = set()
        self.settled: Counter[str] = Counter()
        # What counts nothing yet is there as 0: Prometheus does not see a counter's first step from nowhere.
        for scheme in SCHEMES:
            self._known(scheme.name)
        for outcome in set(OUTCOME.values()):
            metrics.HONEST.labels(outcome)
            metrics.HONEST_VALUE.labels(outcome)
        for edge in _EDGES:
            metrics.CALIBRATION_DECISIONS.labels(edge)
            metrics.CALIBRATION_PROBABILITY.labels(edge)
            metrics.CALIBRATION_FRAUDS.labels(edge)
        for source in get_args(LabelSource):
            for verdict in ("fraud", "honest"):
                metrics.LABEL_DELAY.labels(source, verdict)

    def take(self, topic: str, partition: int, value: bytes | None, now_s: float) -> None:
        """A record, in its partition's order, at a monotonic time."""
        try:
            if topic == DECISIONS:
                self._decided(partition, _decode(value or b""), now_s)
            elif topic == LABELS:
                self._labelled(decode_label(value or b""))
            else:
                truth = decode_truth(value or b"")
                if truth.is_fraud:
                    self._count(self._awaiting.named(truth.tx_id, truth.typology))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            metrics.WATCH_UNREADABLE.labels(topic).inc()
            _log.warning("unreadable record left out", topic=topic, partition=partition, error=str(error))

    def settle(self, now_s: float) -> None:
        """Count the honest; to be called when all truth there is has been taken."""
        for settled in self._awaiting.honest(now_s):
            self._count(settled)

    def export_drift(self) -> None:
        for name, psi in self._drift.figures().items():
            metrics.DRIFT.labels(name).set(psi.value)
            metrics.DRIFT_LIMIT.labels(name).set(psi.limit)

    def _decided(self, partition: int, decision: AwaitedDecision, now_s: float) -> None:
        # Of what HTTP was asked nobody knows the truth.
        if not self.first.is_first(partition, decision.source_offset) or decision.via != "stream":
            return
        # Without state most features are unknown: that is no drift, and is counted elsewhere.
        if not decision.degraded and len(decision.features) == len(NAMES):
            self._drift.add([decision.score, *(decision.features[place] for place in _PLACES)])
        decision.features = []
        self._count(self._awaiting.decided(decision, now_s))

    def _labelled(self, label: Label) -> None:
        verdict = "fraud" if label.is_fraud else "honest"
        metrics.LABEL_DELAY.labels(label.source, verdict).observe((label.known_at - label.ts) / 1000)

    def _count(self, settled: DecisionTruth | None) -> None:
        if settled is None:
            return
        decision, typology = settled
        outcome, is_fraud = OUTCOME[decision.action], typology is not None
        self.settled["fraud" if is_fraud else "honest"] += 1
        if typology is not None:
            typology = self._known(typology)
            metrics.FRAUDS.labels(typology, outcome).inc()
            metrics.FRAUD_VALUE.labels(typology, outcome).inc(decision.amount_cents)
        else:
            metrics.HONEST.labels(outcome).inc()
            metrics.HONEST_VALUE.labels(outcome).inc(decision.amount_cents)
        if decision.probability is not None:
            edge = _EDGES[
                min(bisect_left(metrics.CALIBRATION_BUCKETS, decision.probability), len(_EDGES) - 1)
            ]
            metrics.CALIBRATION_DECISIONS.labels(edge).inc()
            metrics.CALIBRATION_PROBABILITY.labels(edge).inc(max(decision.probability, 0.0))
            metrics.CALIBRATION_FRAUDS.labels(edge).inc(is_fraud)

    def _known(self, typology: str) -> str:
        """The typology as it is counted, with a counter for every outcome."""
        if typology not in self._typologies:
            if len(self._typologies) >= MOST_TYPOLOGIES:
                return "other"
            self._typologies.add(typology)
            for outcome in set(OUTCOME.values()):
                metrics.FRAUDS.labels(typology, outcome)
                metrics.FRAUD_VALUE.labels(typology, outcome)
        return typology


async def _follow(settings: Settings, stop: threading.Event, figures: WatchMetrics, from_start: bool) -> None:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    read_past_unreadable_headers()
    tps = [TopicPartition(t, p) for t, its in partitions_of(settings, TOPICS).items() for p in its]
    truth = [tp for tp in tps if tp.topic == TRUTH]
    others = [tp for tp in tps if tp.topic != TRUTH]
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        client_id="watch",
        fetch_max_wait_ms=POLL_MS,
        fetch_min_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    await consumer.start()
    try:
        consumer.assign(tps)
        begins, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        for tp in tps:
            start = ends[tp] - (TRUTH_BEFORE if tp in truth else 0)
            consumer.seek(tp, begins[tp] if from_start else max(begins[tp], start))
        # Truth first, as far as it goes: of a long log no decision need wait for it.
        consumer.pause(*others)
        report_at = 0.0
        while not stop.is_set():
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=2_000)
            now_s = time.monotonic()
            for tp, records in polled.items():
                for record in records:
                    figures.take(tp.topic, tp.partition, record.value, now_s)
            metrics.HEARTBEAT.set_to_current_time()
            lag = await _lag(consumer, ends)
            if not lag[TRUTH]:
                consumer.resume(*others)
                figures.settle(now_s)
            if now_s >= report_at:
                figures.export_drift()
                for topic, records_behind in lag.items():
                    metrics.CONSUMER_LAG.labels("watch", topic).set(records_behind)
                report_at = now_s + REPORT_EVERY_S
    finally:
        await consumer.stop()


async def _lag(consumer: Any, ends: dict[Any, int]) -> Mapping[str, int]:
    """Records between what has been read and the log's end, by topic.

    `ends` are those of the start, until a broker's answer brings newer ones.
    """
    lag = dict.fromkeys(TOPICS, 0)
    for tp, end in ends.items():
        lag[tp.topic] += max((consumer.highwater(tp) or end) - await consumer.position(tp), 0)
    return lag
