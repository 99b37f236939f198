"""A thread that reads the decisions and verdicts that may stop payments, as they are written."""

import threading
from typing import Final, Protocol

import msgspec
from aiokafka import TopicPartition

from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.consumer import FetchPlan, open_reader
from fraudsim.log.events import decode_label
from fraudsim.log.topics import DECISIONS, LABELS
from fraudsim.process.reading_thread import ReadingThread
from fraudsim.settings import Settings
from producers.labels.outcome import DecidedPayment

CATCH_UP_TIMEOUT_S: Final = 60.0
_PLAN: Final = FetchPlan(wait_ms=100, min_bytes=32 * 1024)
_APPROVE_BYTES: Final = b'"action":"approve"'
"""Every approval contains these bytes, and is not decoded. An id cannot hold them: it has no quotes."""
_ANALYST_BYTES: Final = b'"source":"analyst"'

_decode = msgspec.json.Decoder(DecidedPayment).decode


class DecisionListener(Protocol):
    """Whoever reacts; called in the reading thread."""

    def add_decision(self, payment: DecidedPayment) -> None:
        """Take in a decision other than an approval."""

    def add_verdict(self, tx_id: str, known_ms: int) -> None:
        """Take in an analyst's verdict, and the event time at which it is known."""


class DecisionReader:
    """Reports what may stop payments, from the log's beginning. A context manager."""

    def __init__(
        self, settings: Settings, partitions: list[int], listener: DecisionListener, stop: threading.Event
    ) -> None:
        """
        Args:
            partitions: of `decisions` and of `labels`.
            stop: set if reading fails; `failure` then holds the error.
        """
        self._settings = settings
        self._partitions = partitions
        self._listener = listener
        self._thread = ReadingThread("decisions", self._read, stop.set)

    @property
    def failure(self) -> Exception | None:
        """Why the decisions are not read any more."""
        return self._thread.failure

    def __enter__(self) -> "DecisionReader":
        """Start reading; returns when everything that is in the log by now has been reported.

        Raises:
            FraudsimError: a topic cannot be read.
        """
        self._thread.start(DECISIONS, CATCH_UP_TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close(within_s=5)

    async def _read(self) -> None:
        tps = [TopicPartition(topic, p) for topic in (DECISIONS, LABELS) for p in self._partitions]
        async with open_reader(self._settings.kafka_bootstrap, tps, _PLAN) as reader:
            ends = await reader.ends()
            await reader.seek_to_begins()
            while not self._thread.closed.is_set():
                for tp, records in (await reader.poll()).items():
                    read = self._read_decision if tp.topic == DECISIONS else self._read_label
                    for record in records:
                        read(record.value)
                if not self._thread.caught_up.is_set():
                    positions = await reader.positions()
                    if all(positions[tp] >= ends[tp] for tp in tps):
                        self._thread.caught_up.set()

    def _read_decision(self, value: bytes | None) -> None:
        if value is not None and _APPROVE_BYTES not in value:
            payment = read_event(value, _decode)
            if not isinstance(payment, Rejected) and payment.action != "approve":
                self._listener.add_decision(payment)

    def _read_label(self, value: bytes | None) -> None:
        if value is not None and _ANALYST_BYTES in value:
            label = read_event(value, decode_label)
            if not isinstance(label, Rejected) and label.source == "analyst":
                self._listener.add_verdict(label.tx_id, label.known_at)
