"""`watch`: reads decisions, truth and labels from Kafka into `WatchMetrics`."""

import asyncio
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from dashboards.watch_metrics import WatchMetrics
from fraudsim import metrics
from fraudsim.log.consumer import existing_partitions
from fraudsim.log.lenient_records import read_past_unreadable_headers
from fraudsim.log.topics import DECISIONS, LABELS, TRUTH
from fraudsim.settings import Settings

TOPICS: Final = (DECISIONS, TRUTH, LABELS)
TRUTH_BEFORE: Final = 1_000
"""Records of a partition of truth that are read from before the present: a fraud may be named before it is
decided."""
POLL_MS: Final = 500
"""The broker holds a fetch back this long, or until it fills `FETCH_BYTES`: the delay costs nobody."""
FETCH_BYTES: Final = 1024 * 1024
REPORT_EVERY_S: Final = 2.0


def run_watch(
    settings: Settings, stop: threading.Event, *, from_start: bool, wait_s: float, reference: int
) -> dict[str, int]:
    """Watch until `stop`; returns the number of decisions counted, of frauds, and of repeats left out.

    Args:
        from_start: from the log's start, else from its present end.
        wait_s: see `AwaitingTruth`.
        reference: rows of the `DriftMonitor`.

    Raises:
        FraudsimError: a topic is missing.
    """
    watch_metrics = WatchMetrics(wait_s, reference)
    asyncio.run(_follow(settings, stop, watch_metrics, from_start))
    counts = watch_metrics.outcome_counts
    return {
        "decisions": counts["fraud"] + counts["honest"],
        "frauds": counts["fraud"],
        "repeated": watch_metrics.first.repeated,
    }


async def _follow(
    settings: Settings, stop: threading.Event, watch_metrics: WatchMetrics, from_start: bool
) -> None:
    from aiokafka import AIOKafkaConsumer, TopicPartition

    read_past_unreadable_headers()
    partitions_by_topic = existing_partitions(settings.kafka_bootstrap, TOPICS)
    tps = [TopicPartition(topic, p) for topic, partitions in partitions_by_topic.items() for p in partitions]
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
        # Truth is read to its end first, so that the decisions of a long log need not wait for it.
        consumer.pause(*others)
        report_at = 0.0
        while not stop.is_set():
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=2_000)
            now_s = time.monotonic()
            for tp, records in polled.items():
                for record in records:
                    watch_metrics.add_record(tp.topic, tp.partition, record.value, now_s)
            metrics.HEARTBEAT.set_to_current_time()
            lag = await _lag(consumer, ends)
            if not lag[TRUTH]:
                consumer.resume(*others)
                watch_metrics.count_honest(now_s)
            if now_s >= report_at:
                watch_metrics.export_drift()
                for topic, topic_lag in lag.items():
                    metrics.CONSUMER_LAG.labels("watch", topic).set(topic_lag)
                report_at = now_s + REPORT_EVERY_S
    finally:
        await consumer.stop()


async def _lag(consumer: Any, ends: dict[Any, int]) -> Mapping[str, int]:
    """Records between what has been read and the log's end, by topic.

    `ends` are those at the start; a partition's high watermark replaces them once the broker has sent it.
    """
    lag = dict.fromkeys(TOPICS, 0)
    for tp, end in ends.items():
        lag[tp.topic] += max((consumer.highwater(tp) or end) - await consumer.position(tp), 0)
    return lag
