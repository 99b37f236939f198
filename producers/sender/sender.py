"""The open-loop sender: every record of a source at its intended time, exactly once across restarts."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Segment, Transaction, encoder
from fraudsim.log.topics import LABELS, TRUTH
from fraudsim.log.topics import TRANSACTIONS as TRANSACTIONS_TOPIC
from fraudsim.metrics import HEARTBEAT, TRANSACTIONS
from fraudsim.metrics import LABELS as LABELS_SENT
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings
from producers.outbox.clients import open_outbox
from producers.outbox.outbox import Outbox
from producers.sender import schedule
from producers.sender.clock_starter import ClockStarter, DirectClockStarter
from producers.sender.log_ends import find_logged_ordinals, partitions_of
from producers.sender.ordinals import LoggedOrdinals
from producers.sender.schedule_monitor import ScheduleMonitor
from producers.sender.send_report import SendReport
from producers.sources.prefetch import Prefetch
from producers.sources.source import Item, RawValue, Source

TOPICS: Final = (TRANSACTIONS_TOPIC, LABELS, TRUTH)
MAX_HOLD_US: Final = 50_000
"""Labels and truths are held up to this long and handed over together: their latency is not measured, and
each wake-up costs. (Longer saves little and makes bursts that delay transactions: p99 11 ms at 200 ms, 5.5
at 50.)"""
MAX_HELD_RECORDS: Final = 200
"""This many held records are handed over at once, even while transactions are overdue."""
SWITCH_INTERVAL_S: Final = 0.0005
"""The interpreter's switch interval. A send passes between three threads, and each may wait this long for the
thread that prefetches the source."""
PROGRESS_US: Final = 1_000_000
STOP_FLUSH_S: Final = 20.0
React = Callable[[Item], Item | None]
"""Returns a record as it is to be sent; None to leave it out."""
_NumberedItem = tuple[Item, int]
"""A record and its ordinal."""
_log = structlog.get_logger()
_TRANSACTIONS_OK = TRANSACTIONS.labels(stage="sent", outcome="ok")
_LABELS_OK = LABELS_SENT.labels(stage="sent", outcome="ok")


def send(
    source: Source,
    settings: Settings,
    *,
    speed: float,
    seconds: float | None,
    clock_log: ClockLog,
    stop: threading.Event,
    on_progress: Callable[[SendReport], None] | None = None,
    earlier: SendReport | None = None,
    prefix: str = "",
    clock: ClockStarter | None = None,
    outbox_opener: Callable[[Settings, Sequence[str]], Outbox] = open_outbox,
    react: React | None = None,
) -> SendReport:
    """Send the records of a source's live stream that the log does not hold yet.

    Args:
        speed: event milliseconds per wall millisecond.
        seconds: wall seconds of live traffic; the stream ends at start_ms + seconds · speed in event time,
            however often the sender was killed. None sends until the source ends.
        stop: set it to stop early; outstanding records are flushed.
        on_progress: called every second.
        earlier: the report of the previous start, whose figures are carried on.
        prefix: of the topics' names; `clock_log` must be of the same prefix.
        clock: starts the run's clock; by default this sender does, in `clock_log`.
        outbox_opener: opens the outbox; by default the one that the settings name.
        react: called just before a record is sent; may change it or leave it out.

    Raises:
        FraudsimError: the speed or the source does not fit the log; a topic, or the client, is missing.
        SendError: Kafka did not acknowledge a record. End the process; the next start sends what is missing.
    """
    if not speed > 0:
        raise FraudsimError(f"speed {speed:g} must be more than 0")
    partitions = partitions_of(settings, [prefix + topic for topic in TOPICS])
    outbox = outbox_opener(settings, list(partitions))
    try:
        by_topic = find_logged_ordinals(settings, partitions, source.name)
        logged = {topic: by_topic[prefix + topic] for topic in TOPICS}
        clock = clock or DirectClockStarter(clock_log, source.name, source.start_ms, speed)
        tick_us = schedule.tick_us(settings)
        run = _SenderRun(
            source, outbox, clock, logged, speed, seconds, stop, on_progress, earlier, tick_us, prefix, react
        )
        return run.run()
    finally:
        outbox.close(0)  # everything is flushed or given up


class _SenderRun:
    """One start of the sender, from the first missing record to the end of the stream or to `stop`."""

    def __init__(
        self,
        source: Source,
        outbox: Outbox,
        clock: ClockStarter,
        logged: Mapping[str, LoggedOrdinals],
        speed: float,
        seconds: float | None,
        stop: threading.Event,
        on_progress: Callable[[SendReport], None] | None,
        earlier: SendReport | None,
        tick_us: int,
        prefix: str,
        react: React | None,
    ) -> None:
        self._prefix = prefix
        self._react = react
        self._source = source
        self._source_header = (h.SOURCE, source.name.encode())
        self._outbox = outbox
        self._clock = clock
        self._logged = logged
        self._topics_with_gaps = {topic for topic, ordinals in logged.items() if ordinals.missing}
        self._speed = speed
        self._seconds = seconds
        self._end_ms = schedule.end_ms(source.start_ms, speed, seconds)
        self._stop = stop
        self._on_progress = on_progress
        self._tick_us = tick_us
        self._monitor = ScheduleMonitor(
            _log.bind(source=source.name),
            *((earlier.delay_us_counts, earlier.behind_s) if earlier else (None, 0.0)),
        )
        self._segments: list[Segment] = list(earlier.segments) if earlier else []
        self._starts = 1 + (earlier.starts if earlier else 0)
        left_out_before = earlier.left_out if earlier else {}
        # Left-out ordinals that count as missing at the end of the log are offered to `react` again.
        self._left_out = {
            topic: [o for o in left_out_before.get(topic, ()) if o in ordinals]
            for topic, ordinals in logged.items()
        }
        self._sent = Counter({t: len(ordinals) - len(self._left_out[t]) for t, ordinals in logged.items()})
        self._held: list[tuple[Item, int, int]] = []
        """Labels and truths to be handed over together: record, ordinal, intended time (µs)."""
        self._hold_until_us = 0
        self._next_progress_us = 0
        self._segment: Segment | None = None
        self._segment_header = (h.SEGMENT, b"")

    def run(self) -> SendReport:
        complete = False
        with Prefetch(_missing(self._source, self._logged, self._end_ms)) as items:
            first = items.next(self._stop)
            if first is not None:
                items.fill(self._stop)
                freeze_gc()
                has_records = any(len(ordinals) for ordinals in self._logged.values())
                segment = self._clock.start(first[0].due_ms, has_records)
                if segment is not None:
                    self._use_segment(segment)
                    complete = self._send_all(first, items)
            elif not self._stop.is_set():
                complete = True
        self._release_held()
        self._monitor.close_window(_now_us(), None)
        if self._stop.is_set():
            self._outbox.flush(STOP_FLUSH_S)
        else:
            self._outbox.flush()
        report = self._report(complete)
        if self._on_progress:
            self._on_progress(report)
        return report

    def _use_segment(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._segment = segment
        self._segment_header = (h.SEGMENT, h.encode_int(segment.number))

    def _send_all(self, first: _NumberedItem, items: Prefetch[_NumberedItem]) -> bool:
        """Send until the end of the stream (True) or until `stop` is set (False)."""
        day_tables: _NumberedItem | None = first
        while day_tables is not None:
            item, ordinal = day_tables
            intended_us = schedule.intended_us(self._current_segment, item.due_ms)
            if not self._wait_until(intended_us):
                return False
            if _now_us() - intended_us > schedule.SLEPT_US:
                # The machine slept: event time continues where it stopped.
                self._use_segment(self._clock.restart(item.due_ms))
                continue
            self._send_or_hold(item, ordinal, intended_us)
            day_tables = items.next(self._stop)
        return not self._stop.is_set()

    @property
    def _current_segment(self) -> Segment:
        assert self._segment is not None
        return self._segment

    def _wait_until(self, intended_us: int) -> bool:
        """Wait for a record's tick; meanwhile release held records and report progress. False on stop."""
        due_us = schedule.next_tick_us(intended_us, self._tick_us)
        while not self._stop.is_set():
            now_us = _now_us()
            if now_us >= self._next_progress_us:
                self._progress(now_us, intended_us)
            if now_us - intended_us > schedule.SLEPT_US:
                return True  # held records must bear the new segment
            if now_us >= due_us and len(self._held) < MAX_HELD_RECORDS:
                return True
            if self._held and (now_us >= self._hold_until_us or len(self._held) >= MAX_HELD_RECORDS):
                self._release_held()
                continue
            until_us = min(due_us, self._next_progress_us)
            if self._held:
                until_us = min(until_us, self._hold_until_us)
            self._stop.wait(max(until_us - now_us, 0) / 1e6)
        return False

    def _send_or_hold(self, item: Item, ordinal: int, intended_us: int) -> None:
        topic = item.topic
        if topic in self._topics_with_gaps and ordinal > self._logged[topic].maximum:
            # Fill every gap first: the next start finds gaps only within the bound below its maximum.
            self._release_held()
            self._outbox.flush()
            self._topics_with_gaps.discard(topic)
        if self._react is not None:
            changed_item = self._react(item)
            if changed_item is None:
                self._left_out[topic].append(ordinal)
                return
            item = changed_item
        if topic == TRANSACTIONS_TOPIC:
            self._hand_over(item, ordinal, intended_us)
            self._monitor.add_send(intended_us, _now_us())
            return
        if not self._held:
            self._hold_until_us = _now_us() + MAX_HOLD_US
        self._held.append((item, ordinal, intended_us))

    def _release_held(self) -> None:
        held, self._held = self._held, []
        for item, ordinal, intended_us in held:
            self._hand_over(item, ordinal, intended_us)

    def _hand_over(self, item: Item, ordinal: int, intended_us: int) -> None:
        while not self._outbox.wait_for_room():
            self._progress(_now_us(), intended_us)
        event = item.event
        if isinstance(event, Transaction):
            event = msgspec.structs.replace(event, sent_at=intended_us)
        value = event.value if isinstance(event, RawValue) else encoder.encode(event)
        headers = [self._segment_header, (h.ORDINAL, h.encode_int(ordinal)), self._source_header]
        self._outbox.hand_over(self._prefix + item.topic, item.key, value, headers)
        self._sent[item.topic] += 1
        if item.topic == TRANSACTIONS_TOPIC:
            _TRANSACTIONS_OK.inc()
        elif item.topic == LABELS:
            _LABELS_OK.inc()

    def _progress(self, now_us: int, next_us: int) -> None:
        self._outbox.check()
        self._monitor.close_window(now_us, next_us)
        HEARTBEAT.set(now_us / 1e6)
        if self._on_progress:
            self._on_progress(self._report(False))
        self._next_progress_us = now_us + PROGRESS_US

    def _report(self, complete: bool) -> SendReport:
        delays = self._monitor.delays
        return SendReport(
            source=self._source.name,
            speed=self._speed,
            seconds=self._seconds,
            starts=self._starts,
            complete=complete,
            records=dict(self._sent),
            transactions_timed=delays.counts.total(),
            late=delays.over(schedule.LATE_US),
            delay_p50_ms=delays.quantile_ms(0.5),
            delay_p99_ms=delays.quantile_ms(0.99),
            behind_s=round(self._monitor.behind_s, 3),
            delay_us_counts=dict(sorted(delays.counts.items())),
            segments=list(self._segments),
            left_out={topic: list(ordinals) for topic, ordinals in self._left_out.items() if ordinals},
        )


def _missing(source: Source, logged: Mapping[str, LoggedOrdinals], end_ms: float) -> Iterator[_NumberedItem]:
    """The records to send, with their ordinals: those due before the end that the log does not hold."""
    ordinals: Counter[str] = Counter()
    for item in source.items():
        if item.due_ms >= end_ms:
            return
        ordinal = ordinals[item.topic]
        ordinals[item.topic] += 1
        if ordinal not in logged[item.topic]:
            yield item, ordinal


def _now_us() -> int:
    return time.time_ns() // 1000
