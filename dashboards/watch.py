"""`watch`: reads decisions, truth and labels from Kafka into `WatchMetrics`."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition

from dashboards.money_metrics import MoneyMetrics
from dashboards.watch_metrics import WatchMetrics
from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import open_clock
from fraudsim.log.consumer import FetchPlan, Offsets, TopicReader, existing_partitions, open_reader
from fraudsim.log.topics import DECISIONS, LABELS, TRUTH
from fraudsim.settings import Settings
from model.training.label_knowledge import LabelKnowledge
from model.training.maturity import ANY, MaturityCurve, maturity_curves
from producers.history.reader import History, read_history
from producers.world.settings import consequences

TOPICS: Final = (DECISIONS, TRUTH, LABELS)
TRUTH_BEFORE: Final = 1_000
"""Records of a partition of truth that are read from before the present: a fraud may be named before it is
decided."""
POLL_MS: Final = 500
PLAN: Final = FetchPlan(wait_ms=POLL_MS, min_bytes=1 << 20, max_partition_bytes=1 << 20, max_records=2_000)
"""The delay costs nobody."""
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
    partitions_by_topic = existing_partitions(settings.kafka_bootstrap, TOPICS)
    history = _history(settings)
    money = MoneyMetrics(
        consequences(settings), settings.seed, None if history is None else history.manifest.cards
    )
    watch_metrics = WatchMetrics(wait_s, reference, money, None if history is None else _maturity(history))
    del history
    tps = [TopicPartition(topic, p) for topic, partitions in partitions_by_topic.items() for p in partitions]
    asyncio.run(_follow(settings, tps, stop, watch_metrics, from_start))
    counts = watch_metrics.outcome_counts
    return {
        "decisions": counts["fraud"] + counts["honest"],
        "frauds": counts["fraud"],
        "repeated": watch_metrics.first.repeated,
    }


def _history(settings: Settings) -> History | None:
    """The history that the log follows; None where it cannot be read here."""
    try:
        folder = open_clock(settings, wait_s=0).clock.first.history
        return read_history(Path(folder)) if folder else None
    except FraudsimError:
        return None


def _maturity(history: History) -> MaturityCurve | None:
    """Which share of frauds is known by their age, from the labels known by the history's end."""
    transactions = history.transactions()
    knowledge = LabelKnowledge.of(transactions, history.labels())
    ts = transactions["ts"].to_numpy()
    return maturity_curves(ts, knowledge, history.manifest.end_ms).get(ANY)


async def _follow(
    settings: Settings,
    tps: Sequence[TopicPartition],
    stop: threading.Event,
    watch_metrics: WatchMetrics,
    from_start: bool,
) -> None:
    others = [tp for tp in tps if tp.topic != TRUTH]
    async with open_reader(settings.kafka_bootstrap, tps, PLAN, client_id="watch") as reader:
        begins, ends = await reader.begins(), await reader.ends()
        before = {tp: TRUTH_BEFORE if tp.topic == TRUTH else 0 for tp in tps}
        reader.seek(begins if from_start else {tp: max(begins[tp], ends[tp] - before[tp]) for tp in tps})
        # Truth is read to its end first, so that the decisions of a long log need not wait for it.
        reader.pause(*others)
        report_at = 0.0
        while not stop.is_set():
            polled = await reader.poll(POLL_MS)
            now_s = time.monotonic()
            for tp, records in polled.items():
                for record in records:
                    watch_metrics.add_record(tp.topic, tp.partition, record.value, now_s)
            metrics.HEARTBEAT.set_to_current_time()
            lag = await _lag(reader, ends)
            if not lag[TRUTH]:
                reader.resume(*others)
                watch_metrics.count_due(now_s)
            if now_s >= report_at:
                watch_metrics.export_drift()
                watch_metrics.export_recent_frauds()
                for topic, topic_lag in lag.items():
                    metrics.CONSUMER_LAG.labels("watch", topic).set(topic_lag)
                report_at = now_s + REPORT_EVERY_S


async def _lag(reader: TopicReader, ends: Offsets) -> Mapping[str, int]:
    """Records between what has been read and the log's end, by topic.

    `ends` are those at the start; the end that came with a partition's last fetch replaces them.
    """
    ends = {**ends, **reader.known_ends()}
    lag = dict.fromkeys(TOPICS, 0)
    for tp, position in (await reader.positions()).items():
        lag[tp.topic] += max(ends[tp] - position, 0)
    return lag
