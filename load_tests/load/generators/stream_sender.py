"""Sends a plan into Kafka by the producer's sender, and keeps when each record was handed to the client.

    python -m load_tests.load.generators.stream_sender PLAN

It ends when the schedule has been sent and acknowledged, or on a signal; then it writes its records.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.clock_log import open_clock
from fraudsim.log.events import Segment
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.process.stop_signals import stop_on_signals
from fraudsim.settings import Settings, load_settings
from load_tests.load.clocks.records import NO_STAMPS, pack_record
from load_tests.load.generators.outcome import WorkerOutcome, records_path, write_outcome
from load_tests.load.generators.plan import LoadPlan, read_plan
from load_tests.load.generators.stream_source import ScheduledSource
from producers.outbox.clients import open_outbox
from producers.outbox.outbox import Outbox, SendError
from producers.sender import schedule
from producers.sender.send_plan import SendControl, SendPlan
from producers.sender.sender import SWITCH_INTERVAL_S, send

LEAD_S: Final = 4.0
"""From the start of the sender to the first intended send: it connects and fills its prefetch meanwhile."""
TICK_MS: Final = 1
ROOM_US: Final = 200
"""A wait for room that took longer blocked the record."""


class RunningClock:
    """The clock that another sender keeps; a `ClockStarter` that appends nothing."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def start(self, first_due_ms: int, has_records: bool) -> Segment | None:
        """The running segment; None, which ends the sender, if it is too far behind to catch up."""
        return self._segment if not has_records else None

    def restart(self, event_ms: int) -> Segment:
        """Raises SendError: only the line's own producer may set its clock."""
        raise SendError("the wall clock jumped, or the machine slept: run the load again")


class StampedOutbox:
    """An `Outbox` that notes when each record is handed to the client it wraps."""

    def __init__(self, inner: Outbox) -> None:
        self._inner = inner
        self._free_us = 0
        self.records = bytearray()
        self.handed_over = 0

    @property
    def outstanding(self) -> int:
        return self._inner.outstanding

    def hand_over(self, topic: str, key: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Note the time, and pass the record on."""
        if topic == TRANSACTIONS:
            number = int(dict(headers)[h.ORDINAL])
            sent_us = time.time_ns() // 1000
            times = (_sent_at(value), self._free_us, sent_us, sent_us, 0)
            self.records += pack_record(number, times, NO_STAMPS, 0, False)
            self.handed_over += 1
        self._inner.hand_over(topic, key, value, headers)

    def wait_for_room(self, timeout_s: float = 1.0) -> bool:
        """As the client it wraps; a wait means that no room, the stream's sender, was free."""
        started_us = time.time_ns() // 1000
        has_room = self._inner.wait_for_room(timeout_s)
        now_us = time.time_ns() // 1000
        if now_us - started_us > ROOM_US:
            self._free_us = now_us
        return has_room

    def check(self) -> None:
        self._inner.check()

    def flush(self, timeout_s: float = 90.0) -> None:
        self._inner.flush(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        self._inner.close(timeout_s)


def _sent_at(value: bytes) -> int:
    """The intended send time that the sender stamped, µs."""
    start = value.rindex(b'"sent_at":') + 10
    return int(value[start:].rstrip(b"}").split(b",", 1)[0])


def send_plan(plan: LoadPlan, settings: Settings) -> None:
    """Send a plan, and write records and outcome into its folder.

    Raises:
        FraudsimError: the line's clock does not run.
        SendError: Kafka did not acknowledge a record.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    stop = stop_on_signals()
    segment = open_clock(settings, wait_s=10.0).clock.current
    if segment.speed <= 0:
        raise FraudsimError(
            "--stream: the line's clock stands still: it runs once its producer sends (fraudsim up, produce)"
        )
    start_ms = int((time.time() + LEAD_S) * 1000)
    source = ScheduledSource(plan, segment, start_ms)
    outboxes: list[StampedOutbox] = []

    def opener(opener_settings: Settings, topics: Sequence[str]) -> StampedOutbox:
        outboxes.append(StampedOutbox(open_outbox(opener_settings, topics)))
        return outboxes[-1]

    finished = False
    try:
        report = send(
            source,
            settings,
            SendPlan(speed=segment.speed),
            RunningClock(segment),
            SendControl(stop=stop),
            opener,
        )
        finished = report.complete
    finally:
        outbox = outboxes[0] if outboxes else None
        times = os.times()
        records_path(Path(plan.folder), 0).write_bytes(bytes(outbox.records) if outbox else b"")
        write_outcome(
            Path(plan.folder),
            WorkerOutcome(
                index=0,
                share=len(plan.schedule()),
                handed_over=outbox.handed_over if outbox else 0,
                finished=finished,
                start_us=schedule.intended_us(segment, source.start_ms),
                cpu_s=times.user + times.system,
            ),
        )


def stream_settings() -> Settings:
    """The settings of the sender: librdkafka where it is installed, and the shortest tick."""
    settings = load_settings()
    changes: dict[str, Any] = {"tick_ms": TICK_MS}
    if "sender" not in settings.model_fields_set:
        try:
            import confluent_kafka  # noqa: F401
        except ModuleNotFoundError:
            pass
        else:
            changes["sender"] = "confluent"
    return settings.model_copy(update=changes)


def main(path: str) -> int:
    """The process; returns its exit code."""
    try:
        send_plan(read_plan(Path(path)), stream_settings())
    except (FraudsimError, SendError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
