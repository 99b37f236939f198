"""The clock's segments on the topic `run.clock`: read, followed and appended."""

import time
import uuid
from dataclasses import dataclass

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock, LoggedSegment, future_limit_ms, horizon_ms, past_limit_ms
from fraudsim.log.events import Segment, decode_segment, encoder
from fraudsim.log.topics import CLOCK
from fraudsim.polling import poll_until
from fraudsim.settings import Settings


@dataclass
class ClockLog:
    """The clock as the log has it; `refresh` reads what was appended since the last call."""

    bootstrap: str
    clock: Clock
    topic: str = CLOCK
    _next_offset: int = 0

    def refresh(self) -> None:
        """Read `run.clock` to its current end."""
        from kafka import KafkaConsumer, TopicPartition

        partition = TopicPartition(self.topic, 0)
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap.split(","), enable_auto_commit=False)
        try:
            consumer.assign([partition])
            consumer.seek(partition, self._next_offset)
            end = consumer.end_offsets([partition])[partition]
            while consumer.position(partition) < end:
                for records in consumer.poll(timeout_ms=1000).values():
                    for record in records:
                        self.clock.add(LoggedSegment(decode_segment(record.value), record.timestamp))
            self._next_offset = end
        finally:
            consumer.close()

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


def open_clock(settings: Settings, wait_s: float = 60.0, topic: str = CLOCK) -> ClockLog:
    """The run's clock. Waits for its first segment.

    Raises:
        FraudsimError: no segment within `wait_s` seconds.
    """
    log = ClockLog(settings.kafka_bootstrap, Clock(), topic)

    def has_segment() -> bool:
        log.refresh()
        return bool(log.clock)

    if not poll_until(has_segment, wait_s, every_s=0.2):
        raise FraudsimError("run.clock has no segment: start a log with `fraudsim clock start`")
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


def next_segment(clock: Clock, speed: float, event_epoch_ms: int, wall_epoch_ms: int) -> Segment:
    """The segment by which the clock runs, from an event time at a wall time on.

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
        past_ms=past_limit_ms(speed),
        future_ms=future_limit_ms(speed),
        horizon_ms=first.horizon_ms,
        history=first.history,
        history_fingerprint=first.history_fingerprint,
    )
