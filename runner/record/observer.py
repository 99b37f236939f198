"""Reading decisions back as anybody would: when each arrived, and what it said."""

import asyncio
import math
import threading
import time
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from fraudsim.settings import Settings
from producers.sender.schedule import DelayHistogram

PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
RECENT: Final = 20_000
"""Latencies that are kept as they are, for the live figures."""


class _Stamped(msgspec.Struct):
    intended: int = 0


class Seen(msgspec.Struct):
    """The little that the observer needs of a decision, or of a relayed transaction."""

    tx_id: str
    action: str = ""
    via: str = "stream"
    stamps: _Stamped | None = None
    sent_at: int = 0


_decode = msgspec.json.Decoder(Seen).decode


class Latencies:
    """Latencies of a run of any length: counted to three digits, the recent ones kept as they are."""

    def __init__(self) -> None:
        self.recent_ms: deque[float] = deque(maxlen=RECENT)
        self._counted = DelayHistogram()
        self._longest_ms = 0.0

    def add(self, latency_ms: float) -> None:
        """Count one more; less than nothing, by clocks that differ, counts as nothing."""
        self.recent_ms.append(latency_ms)
        self._counted.add(round(latency_ms * 1000))
        self._longest_ms = max(self._longest_ms, latency_ms)

    def percentiles(self) -> dict[str, float | None]:
        """As the function of that name has them of every single value, but within 1 %; max is exact."""
        buckets = sorted(self._counted.counts.items())
        if not buckets:
            return dict.fromkeys(PERCENTILES)
        ends = list(accumulate(count for _, count in buckets))

        def ranked_ms(rank: int) -> float:
            return buckets[bisect_right(ends, rank)][0] / 1000

        def interpolated_ms(q: float) -> float:
            place = (ends[-1] - 1) * q / 100
            below, above = ranked_ms(math.floor(place)), ranked_ms(math.ceil(place))
            return below + (above - below) * (place % 1)

        found: dict[str, float | None] = {n: round(interpolated_ms(q), 3) for n, q in PERCENTILES.items()}
        return {**found, "max": round(self._longest_ms, 3)}


@dataclass
class Tally:
    """What has been seen so far; written by the observer's thread, read by others."""

    seen: int = 0
    streamed: int = 0
    """Of those, all but what HTTP decided."""
    actions: dict[str, int] = field(default_factory=dict)
    latencies: Latencies = field(default_factory=Latencies)
    """From intended send to read back; records without a send time are left out."""


class Observer:
    """Follows a topic from its beginning in a thread of its own."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic
        self.tally = Tally()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"observe-{topic}", daemon=True)

    def __enter__(self) -> "Observer":
        self._thread.start()
        self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._follow())
        except BaseException as error:
            self._failure = error
            self._ready.set()

    async def _follow(self) -> None:
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap, enable_auto_commit=False
        )
        await consumer.start()
        try:
            tps = [TopicPartition(self._topic, p) for p in range(self._settings.partitions)]
            consumer.assign(tps)
            await consumer.seek_to_beginning(*tps)
            self._ready.set()
            while not self._stop.is_set():
                polled = await consumer.getmany(timeout_ms=200)
                arrived_us = time.time_ns() // 1000
                for records in polled.values():
                    for record in records:
                        self._count(_decode(record.value), arrived_us)
        finally:
            await consumer.stop()

    def _count(self, seen: Seen, arrived_us: int) -> None:
        tally = self.tally
        intended = seen.stamps.intended if seen.stamps is not None else seen.sent_at
        if intended:
            tally.latencies.add((arrived_us - intended) / 1000)
        tally.actions[seen.action] = tally.actions.get(seen.action, 0) + 1
        tally.seen += 1
        if seen.via != "http":
            tally.streamed += 1


def percentiles(values: list[float] | npt.NDArray[np.float64]) -> dict[str, float | None]:
    """p50, p90, p99, p999 and max, to 1 µs where the values are ms; None where there are none."""
    if len(values) == 0:
        return dict.fromkeys(PERCENTILES)
    array = np.asarray(values, dtype=np.float64)
    return {name: round(float(np.percentile(array, q)), 3) for name, q in PERCENTILES.items()}
