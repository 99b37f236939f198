"""A thread that reads declines from the log as they are written."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.log.lenient_records import read_past_unreadable_headers
from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings

CATCH_UP_TIMEOUT_S: Final = 60.0
_DECLINE_BYTES: Final = b'"action":"decline"'
"""Every decline contains these bytes; other decisions are not decoded."""


class _Decision(msgspec.Struct, gc=False):
    tx_id: str
    action: str


_decode = msgspec.json.Decoder(_Decision).decode


class DeclineReader:
    """Reports every decline in the log, from its beginning. A context manager."""

    def __init__(
        self,
        settings: Settings,
        partitions: list[int],
        on_decline: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        """
        Args:
            partitions: of `decisions`.
            on_decline: called with the id of each declined transaction, in the reading thread.
            stop: set if reading fails; `failure` then holds the error.
        """
        self._settings = settings
        self._partitions = partitions
        self._on_decline = on_decline
        self._stop_sender = stop
        self._stop = threading.Event()
        self._caught_up = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="declines", daemon=True)

    def __enter__(self) -> "DeclineReader":
        """Start reading; returns when every decline that is in the log by now has been reported.

        Raises:
            FraudsimError: the topic cannot be read.
        """
        self._thread.start()
        if not self._caught_up.wait(CATCH_UP_TIMEOUT_S) or self.failure is not None:
            self._stop.set()
            raise FraudsimError(f"{DECISIONS} cannot be read: {self.failure or 'no answer from Kafka'}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            asyncio.run(self._read())
        except Exception as error:
            self.failure = error
            self._stop_sender.set()
            self._caught_up.set()

    async def _read(self) -> None:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        read_past_unreadable_headers()
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=100,
            fetch_min_bytes=32 * 1024,
        )
        await consumer.start()
        try:
            tps = [TopicPartition(DECISIONS, p) for p in self._partitions]
            consumer.assign(tps)
            ends = await consumer.end_offsets(tps)
            await consumer.seek_to_beginning(*tps)
            while not self._stop.is_set():
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        self._read_decision(record.value)
                if not self._caught_up.is_set():
                    reached_ends = [await consumer.position(tp) >= ends[tp] for tp in tps]
                    if all(reached_ends):
                        self._caught_up.set()
        finally:
            await consumer.stop()

    def _read_decision(self, value: bytes) -> None:
        if _DECLINE_BYTES in value:
            decision = _decode(value)
            if decision.action == "decline":  # the bytes may stand within another text
                self._on_decline(decision.tx_id)
