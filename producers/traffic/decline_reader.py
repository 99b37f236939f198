"""Declines as they happen, read in a thread of their own."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.log.lenient_records import read_past_unreadable_headers
from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings

CAUGHT_UP_S: Final = 60.0
_MARK: Final = b'"action":"decline"'
"""Stands in every decline; other decisions need not be decoded."""


class _Declined(msgspec.Struct, gc=False):
    tx_id: str
    action: str


_decode = msgspec.json.Decoder(_Declined).decode


class DeclineReader:
    """Tells of every decline in the log, from its beginning on. A context manager."""

    def __init__(
        self, settings: Settings, partitions: list[int], tell: Callable[[str], None], stop: threading.Event
    ) -> None:
        """
        Args:
            partitions: of `decisions`.
            tell: called with the id of each declined transaction, from the reading thread.
            stop: set where reading fails; `failure` then says why.
        """
        self._settings = settings
        self._partitions = partitions
        self._tell = tell
        self._give_up = stop
        self._stop = threading.Event()
        self._caught_up = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="declines", daemon=True)

    def __enter__(self) -> "DeclineReader":
        """Return once all is told that the log holds by now.

        Raises:
            FraudsimError: it cannot be read.
        """
        self._thread.start()
        if not self._caught_up.wait(CAUGHT_UP_S) or self.failure is not None:
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
            self._give_up.set()
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
                        self._look_at(record.value)
                if not self._caught_up.is_set():
                    at = [await consumer.position(tp) >= ends[tp] for tp in tps]
                    if all(at):
                        self._caught_up.set()
        finally:
            await consumer.stop()

    def _look_at(self, value: bytes) -> None:
        if _MARK in value:
            decision = _decode(value)
            if decision.action == "decline":  # and not a text within it
                self._tell(decision.tx_id)
