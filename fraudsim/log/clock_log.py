"""Reading and appending the clock's segments on `run.clock`."""

import time
import uuid
from dataclasses import dataclass

from fraudsim.errors import FraudsimError
from fraudsim.log.clock import Clock, PlacedSegment, future_limit_ms, horizon_ms, past_limit_ms
from fraudsim.log.events import Segment, decode_segment, encoder
from fraudsim.log.topics import CLOCK
from fraudsim.polling import poll_until
from fraudsim.settings import Settings


@dataclass
class ClockLog:
    """The clock as the log has it; `refresh` reads on from where the last reading ended."""

    bootstrap: str
    clock: Clock
    topic: str = CLOCK
    _next_offset: int = 0

    def refresh(self) -> None:
        """Read `run.clock` to its present end."""
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
                        self.clock.add(PlacedSegment(decode_segment(record.value), record.timestamp))
            self._next_offset = end
        finally:
            consumer.close()

    def append(self, segment: Segment) -> None:
        """Append a segment, acknowledged, and read it back. Of two with one number the first stands."""
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
    """The run's clock, once its first segment is there.

    Raises:
        FraudsimError: no clock within `wait_s` seconds.
    """
    log = ClockLog(settings.kafka_bootstrap, Clock(), topic)

    def has_begun() -> bool:
        log.refresh()
        return bool(log.clock)

    if not poll_until(has_begun, wait_s, every_s=0.2):
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
    """Name a new log. Its clock stands still at `event_epoch_ms` until a producer sets it going.

    `speed` is the speed it will go at, from which its horizon follows.

    Raises:
        FraudsimError: the log has a clock already.
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
    """The segment that sets the clock going (again) from an event time at a wall time.

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
