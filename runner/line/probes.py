"""Probes of the line's processes: whether the scorer is ready, and how far the feature worker has folded."""

import re
from pathlib import Path
from typing import Any, Final

import redis
from aiokafka import TopicPartition

from fraudsim.addresses import http_url, open_direct, running_line
from fraudsim.log import topics
from fraudsim.log.consumer import log_ranges
from fraudsim.settings import Settings

HEARTBEAT_LINE: Final = r"^fraudsim_heartbeat_timestamp_seconds ([0-9.e+]+)$"


def scorer_is_ready(settings: Settings) -> bool:
    """Whether the scorer answers `/readyz` with 200."""
    url = f"{http_url(settings.http_host, settings.http_port)}/readyz"
    try:
        with open_direct(url, timeout_s=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def lagged_scorer_decides(run_dir: Path, settings: Settings, started_s: float) -> bool:
    """Whether the scorer beside the line gives a sign of life later than `started_s`, or is not there.

    It first reads the whole history; what was sent before that it could not decide with its features.
    """
    line = running_line(run_dir)
    part = None if line is None else line.parts.get("lagged")
    if part is None or part.pid is None:
        return True
    url = f"{http_url(settings.metrics_host, part.metrics_port)}/metrics"
    try:
        with open_direct(url, timeout_s=2) as answer:
            beat = re.search(HEARTBEAT_LINE, answer.read().decode(), re.MULTILINE)
    except OSError:
        return False
    return beat is not None and float(beat[1]) > started_s


def page_answers(settings: Settings) -> bool:
    """Whether the live page answers `/healthz` with 200."""
    try:
        with open_direct(
            f"{http_url(settings.page_host, settings.page_port)}/healthz", timeout_s=2
        ) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def worker_has_caught_up(settings: Settings, started_s: float) -> bool:
    """Whether every slot has a heartbeat later than `started_s`, the Unix time of the worker's start.

    A worker writes a slot's heartbeat once it owns the slot and has folded the log to its end.
    """
    from stream_features.store.keys import fresh_key

    with redis.Redis.from_url(settings.redis_url) as client:
        heartbeats_ms: Any = client.mget([fresh_key(slot) for slot in range(settings.slots)])
    return all(
        heartbeat_ms is not None and float(heartbeat_ms) > started_s * 1000 for heartbeat_ms in heartbeats_ms
    )


def log_is_folded(settings: Settings) -> bool:
    """Whether the watermark of every slot has reached the present end of transactions and labels."""
    from stream_features.store.keys import watermark_key
    from stream_features.store.watermark import decode_watermark

    sources = [
        TopicPartition(topic, partition)
        for topic in (topics.TRANSACTIONS, topics.LABELS)
        for partition in range(settings.partitions)
    ]
    ranges = log_ranges(settings.kafka_bootstrap, sources)
    with redis.Redis.from_url(settings.redis_url) as client:
        watermarks: Any = client.mget([watermark_key(slot) for slot in range(settings.slots)])
    return all(
        decode_watermark(watermark).offsets[source_index] + 1 >= ranges[source][1]
        for watermark in watermarks
        for source_index, source in enumerate(sources)
    )
