"""A thread that reads declines from the log as they are written."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

import msgspec
from aiokafka import TopicPartition

from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.consumer import FetchPlan, open_reader
from fraudsim.log.topics import DECISIONS
from fraudsim.settings import Settings

CATCH_UP_TIMEOUT_S: Final = 60.0
_PLAN: Final = FetchPlan(wait_ms=100, min_bytes=32 * 1024)
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
        tps = [TopicPartition(DECISIONS, p) for p in self._partitions]
        async with open_reader(self._settings.kafka_bootstrap, tps, _PLAN) as reader:
            ends = await reader.ends()
            await reader.seek_to_begins()
            while not self._stop.is_set():
                for records in (await reader.poll()).values():
                    for record in records:
                        self._read_decision(record.value)
                if not self._caught_up.is_set():
                    positions = await reader.positions()
                    if all(positions[tp] >= ends[tp] for tp in tps):
                        self._caught_up.set()

    def _read_decision(self, value: bytes | None) -> None:
        if value is not None and _DECLINE_BYTES in value:
            decision = read_event(value, _decode)
            # The bytes may stand within another text, or in a record that is no decision.
            if not isinstance(decision, Rejected) and decision.action == "decline":
                self._on_decline(decision.tx_id)
