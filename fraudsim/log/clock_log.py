"""The clock's segments on the topic `run.clock`: read, followed and appended."""

import asyncio
import math
import time
import uuid
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.acceptance import HEADERS_REJECTED, Rejected, read_event
from fraudsim.log.brokers import KafkaAwayError
from fraudsim.log.clock import Clock, LoggedSegment, future_limit_ms, horizon_ms, past_limit_ms
from fraudsim.log.consumer import SHORT, TopicReader, open_reader, pass_to_end
from fraudsim.log.events import Segment, decode_segment, encoder
from fraudsim.log.topics import CLOCK
from fraudsim.polling import poll_until
from fraudsim.settings import Settings

_log = structlog.get_logger()
START_S: Final = 60.0
"""How long a part of the line waits at its start for the log to be named."""
SHORT_WAIT_S: Final = 3.0
"""The same for a command that people wait for."""
ANNOUNCED_AFTER_S: Final = 2.0


def add_segments(clock: Clock, records: Iterable[Any]) -> None:
    """Add the segments in records of `run.clock`; a record that is none is skipped, counted and logged."""
    for record in records:
        segment: Segment | Rejected = read_event(record.value, decode_segment, record.headers)
        if h.header(record.headers, h.UNREADABLE_HEADERS) is not None:
            segment = HEADERS_REJECTED
        if isinstance(segment, Rejected):
            metrics.CLOCK_SKIPPED.inc()
            _log.warning(
                "clock_record_skipped",
                offset=record.offset,
                field=segment.field,
                reason=segment.reason,
                next_step="find out who writes to run.clock beside the producer",
            )
        else:
            clock.add(LoggedSegment(segment, record.timestamp))


@dataclass
class ClockLog:
    """The clock as the log has it.

    `refresh` reads what was appended, for processes without an event loop; `catch_up` does so by one consumer
    that stays open until `close`.
    """

    bootstrap: str
    clock: Clock
    topic: str = CLOCK
    _next_offset: int = 0
    _follower: TopicReader | None = None
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def refresh(self) -> None:
        """Read `run.clock` to its present end."""
        self._next_offset = pass_to_end(
            self.bootstrap,
            self._partition,
            self._next_offset,
            lambda records: add_segments(self.clock, records),
        )

    async def catch_up_for(self, records: Iterable[Any]) -> None:
        """Read `run.clock` to its present end if one of these records names a segment that is not in `clock`.

        Await it with the records of each poll before they are accepted. Every segment that is in the log
        before such a record is then in `clock`, so whether the record is valid follows from the log alone.
        """
        named = {h.int_of(h.header(record.headers, h.SEGMENT)) for record in records}
        if any(number is not None and number not in self.clock for number in named):
            await self.catch_up()

    async def catch_up(self) -> None:
        """Read `run.clock` to its present end, without blocking the event loop."""
        async with self._turn:
            reader = self._follower
            if reader is None:
                reader = await self._open.enter_async_context(
                    open_reader(self.bootstrap, [self._partition], SHORT)
                )
                begins = await reader.begins()
                reader.seek({tp: max(begin, self._next_offset) for tp, begin in begins.items()})
                self._follower = reader
            async for _, records, position in reader.read_until(await reader.ends()):
                add_segments(self.clock, records)
                self._next_offset = position

    async def close(self) -> None:
        """Close the consumer of `catch_up`."""
        self._follower = None
        await self._open.aclose()

    @property
    def _partition(self) -> TopicPartition:
        return TopicPartition(self.topic, 0)

    def append(self, segment: Segment) -> None:
        """Append a segment, wait for the acknowledgement, and read it back.

        If another process appended a segment with the same number first, that one applies.
        """
        from kafka import KafkaProducer

        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap.split(","), acks="all", enable_idempotence=True
        )
        try:
            producer.send(self.topic, value=encoder.encode(segment), partition=0).get(timeout=30)
        finally:
            producer.close()
        self.refresh()


def open_clock(settings: Settings, wait_s: float = START_S, topic: str = CLOCK) -> ClockLog:
    """The run's clock. Waits for its topic and its first segment, and logs that it does; not for Kafka.

    Raises:
        FraudsimError: no topic or no segment within `wait_s` seconds, or no broker can be reached.
    """
    log = ClockLog(settings.kafka_bootstrap, Clock(), topic)
    error = FraudsimError(f"{topic} has no segment: start a log with `fraudsim clock start`")
    announce_at = time.monotonic() + ANNOUNCED_AFTER_S

    def has_segment() -> bool:
        nonlocal error, announce_at
        try:
            log.refresh()
        except KafkaAwayError:
            raise
        except FraudsimError as missing:
            error = missing
        if not log.clock and time.monotonic() >= announce_at:
            announce_at = math.inf
            if wait_s > SHORT_WAIT_S:
                _log.info("waiting_for_clock", reason=str(error), longest_s=wait_s)
        return bool(log.clock)

    if not poll_until(has_segment, wait_s, every_s=0.2):
        raise error
    return log


def start_log(
    settings: Settings,
    event_epoch_ms: int,
    speed: float,
    history: str,
    fingerprint: str,
    topic: str = CLOCK,
) -> ClockLog:
    """Name a new log. Its clock stays at `event_epoch_ms` (speed 0) until a producer appends a segment.

    Args:
        speed: the speed at which the clock will run; it determines the log's horizon.

    Raises:
        FraudsimError: the log already has a clock.
    """
    log = ClockLog(settings.kafka_bootstrap, Clock(), topic)
    log.refresh()
    if log.clock:
        raise FraudsimError(
            f"run.clock already belongs to log {log.clock.log_id}: use another Kafka, or empty this one"
        )
    log.append(
        Segment(
            log_id=uuid.uuid4().hex,
            number=0,
            event_epoch_ms=event_epoch_ms,
            wall_epoch_ms=int(time.time() * 1000),
            speed=0.0,
            past_ms=past_limit_ms(speed),
            future_ms=future_limit_ms(speed),
            horizon_ms=horizon_ms(speed),
            history=history,
            history_fingerprint=fingerprint,
        )
    )
    return log


def next_segment(
    clock: Clock, speed: float, event_epoch_ms: int, wall_epoch_ms: int, backlog_ms: int = 0
) -> Segment:
    """The segment by which the clock runs, from an event time at a wall time on.

    Args:
        backlog_ms: how much further than usual a record may lie behind its arrival.

    Raises:
        FraudsimError: the speed needs a longer horizon than the log was started with.
    """
    first = clock.first
    if horizon_ms(speed) > first.horizon_ms:
        raise FraudsimError(
            f"speed {speed:g} needs a horizon of {horizon_ms(speed)} ms, this log was started with "
            f"{first.horizon_ms} ms: start a new log for a higher speed"
        )
    return Segment(
        log_id=first.log_id,
        number=clock.current.number + 1,
        event_epoch_ms=event_epoch_ms,
        wall_epoch_ms=wall_epoch_ms,
        speed=speed,
        past_ms=past_limit_ms(speed) + backlog_ms,
        future_ms=future_limit_ms(speed),
        horizon_ms=first.horizon_ms,
        history=first.history,
        history_fingerprint=first.history_fingerprint,
    )
