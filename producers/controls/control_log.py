"""The controls on the topic `run.control`: appended, read, and followed in a thread."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.acceptance import Rejected, read_event
from fraudsim.log.consumer import SHORT, TopicReader, existing_partitions, open_reader
from fraudsim.log.events import RunControl, decode_control, encoder
from fraudsim.log.topics import CONTROL
from fraudsim.process.reading_thread import ReadingThread
from producers.controls.controls import Controls, OnControl

FOLLOW_EVERY_S: Final = 0.2
CATCH_UP_S: Final = 60.0
ACK_S: Final = 30.0
_PARTITION: Final = TopicPartition(CONTROL, 0)
_log = structlog.get_logger()


def append_control(bootstrap: str, control: RunControl) -> None:
    """Append a control; acknowledged on return.

    Raises:
        FraudsimError: Kafka does not acknowledge it.
    """
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), acks="all", enable_idempotence=True)
        try:
            producer.send(CONTROL, value=encoder.encode(control), partition=0).get(timeout=ACK_S)
        finally:
            producer.close()
    except KafkaError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FraudsimError(f"{CONTROL} takes no record: {reason}") from None


class ControlLog:
    """The controls as the log has them. A record that is none is skipped, counted and logged."""

    def __init__(self, bootstrap: str, on_control: OnControl = lambda control, broker_ts_ms: None) -> None:
        self._bootstrap = bootstrap
        self._on_control = on_control
        self._reader: TopicReader | None = None
        self._open = AsyncExitStack()
        self.controls = Controls()

    async def catch_up(self) -> None:
        """Read to the topic's present end.

        Raises:
            FraudsimError: there is no such topic.
        """
        if self._reader is None:
            await asyncio.to_thread(existing_partitions, self._bootstrap, [CONTROL])
            self._reader = await self._open.enter_async_context(
                open_reader(self._bootstrap, [_PARTITION], SHORT)
            )
            await self._reader.seek_to_begins()
        async for _, records, _ in self._reader.read_until(await self._reader.ends()):
            for record in records:
                self.add_record(record)

    def add_record(self, record: object) -> None:
        """Take in a Kafka record of the topic."""
        value, offset = record.value, record.offset  # type: ignore[attr-defined]
        control = read_event(value, decode_control, record.headers)  # type: ignore[attr-defined]
        problem = (
            f"{control.field}: {control.reason}"
            if isinstance(control, Rejected)
            else self.controls.add(control)
        )
        if problem is not None:
            metrics.CONTROL_SKIPPED.inc()
            _log.warning("control_skipped", offset=offset, reason=problem[:300])
        elif not isinstance(control, Rejected):
            self._on_control(control, record.timestamp)  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Close the consumer."""
        self._reader = None
        await self._open.aclose()


class ControlFollower:
    """Follows the controls in a thread of its own. A context manager."""

    def __init__(
        self,
        bootstrap: str,
        on_control: OnControl = lambda control, broker_ts_ms: None,
        on_failure: Callable[[], None] = lambda: None,
        every_s: float = FOLLOW_EVERY_S,
    ) -> None:
        """
        Args:
            on_control: called in the thread, with every control from the log's beginning on.
            on_failure: called in the thread if reading fails; `failure` then holds the error.
        """
        self._log = ControlLog(bootstrap, on_control)
        self._every_s = every_s
        self._thread = ReadingThread("controls", self._follow, on_failure)

    @property
    def controls(self) -> Controls:
        """The controls read so far; the thread adds to them."""
        return self._log.controls

    @property
    def failure(self) -> Exception | None:
        """Why the controls are not followed any more."""
        return self._thread.failure

    def __enter__(self) -> "ControlFollower":
        """Start; returns when everything that is in the log by now has been taken in.

        Raises:
            FraudsimError: the topic cannot be read.
        """
        self._thread.start(CONTROL, CATCH_UP_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close()

    async def _follow(self) -> None:
        try:
            while not self._thread.closed.is_set():
                await self._log.catch_up()
                self._thread.caught_up.set()
                await asyncio.sleep(self._every_s)
        finally:
            await self._log.close()
