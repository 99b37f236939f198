"""The open-loop sender: every record of a source at its intended time, exactly once across restarts."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Final

import msgspec
import structlog

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.consumer import existing_partitions
from fraudsim.log.events import Segment, Transaction, encoder
from fraudsim.log.topics import LABELS, TRUTH
from fraudsim.log.topics import TRANSACTIONS as TRANSACTIONS_TOPIC
from fraudsim.metrics import HEARTBEAT, TRANSACTIONS
from fraudsim.metrics import LABELS as LABELS_SENT
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings
from producers.outbox.clients import open_outbox
from producers.outbox.outbox import Outbox
from producers.sender import schedule, wall_time
from producers.sender.clock_starter import ClockStarter
from producers.sender.log_ends import find_logged_ordinals
from producers.sender.ordinals import LoggedOrdinals
from producers.sender.schedule_monitor import ScheduleMonitor
from producers.sender.send_plan import SendControl, SendPlan, SendReport
from producers.sender.wall_time import JumpDetector
from producers.sources.prefetch import Prefetch
from producers.sources.record_queue import MissingRecords, RecordQueue
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
STILL_S: Final = 0.05
"""How often a sender that was paused looks whether it may go on."""
PASS_S: Final = 0.002
_log = structlog.get_logger()
_TRANSACTIONS_OK = TRANSACTIONS.labels(stage="sent", outcome="ok")
_LABELS_OK = LABELS_SENT.labels(stage="sent", outcome="ok")


def send(
    source: Source,
    settings: Settings,
    plan: SendPlan,
    clock: ClockStarter,
    control: SendControl,
    outbox_opener: Callable[[Settings, Sequence[str]], Outbox] = open_outbox,
) -> SendReport:
    """Send the records of a source's live stream that the log does not hold yet.

    Args:
        clock: starts the run's clock: a `DirectClockStarter` for the only sender of a log.
        outbox_opener: opens the outbox; by default the one that the settings name.

    Raises:
        FraudsimError: the speed or the source does not fit the log; a topic, or the client, is missing.
        SendError: Kafka did not acknowledge a record. End the process; the next start sends what is missing.
    """
    if not plan.speed > 0:
        raise FraudsimError(f"speed {plan.speed:g} must be more than 0")
    partitions = existing_partitions(settings.kafka_bootstrap, [plan.prefix + topic for topic in TOPICS])
    outbox = outbox_opener(settings, list(partitions))
    try:
        by_topic = find_logged_ordinals(settings, partitions, source.name)
        logged = {topic: by_topic[plan.prefix + topic] for topic in TOPICS}
        tick = schedule.SendTick(schedule.fixed_us(settings), usable_cores() / plan.processes)
        run = _SenderRun(source, outbox, clock, logged, plan, control, tick)
        return run.run()
    finally:
        outbox.close(0)  # everything is flushed or given up


class _Wait(Enum):
    """Why a wait for a record's tick ended."""

    DUE = auto()
    STOPPED = auto()
    BEHIND = auto()
    """The record is overdue by more than `schedule.SLEPT_US`."""
    CONTROLLED = auto()
    """Somebody changed the speed, or added records."""
    JUMPED = auto()
    """The wall clock was set, or the machine slept."""


class _SenderRun:
    """One start of the sender, from the first missing record to the end of the stream or to `stop`."""

    def __init__(
        self,
        source: Source,
        outbox: Outbox,
        clock: ClockStarter,
        logged: Mapping[str, LoggedOrdinals],
        plan: SendPlan,
        control: SendControl,
        tick: schedule.SendTick,
    ) -> None:
        self._source = source
        self._source_header = (h.SOURCE, source.name.encode())
        self._outbox = outbox
        self._clock = clock
        self._logged = logged
        self._plan = plan
        self._end_ms = schedule.end_ms(source.start_ms, plan.speed, plan.seconds)
        self._stop = control.stop
        self._on_progress = control.on_progress
        self._tick = tick
        self._jumps = JumpDetector()
        self._topics_with_gaps = {topic for topic, ordinals in logged.items() if ordinals.missing}
        earlier = control.earlier
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
        self._retried = earlier.retried if earlier else 0
        self._held: list[tuple[Item, int, int]] = []
        """Labels and truths to be handed over together: record, ordinal, intended time (µs)."""
        self._hold_until_us = 0
        self._next_progress_us = 0
        """By the steady clock."""
        self._segment: Segment | None = None
        self._segment_header = (h.SEGMENT, b"")
        self._controls = plan.controls
        self._share = plan.controls.share if plan.controls is not None else 1.0
        self._missing = MissingRecords(source, logged, self._end_ms)

    def run(self) -> SendReport:
        complete = False
        with Prefetch(self._missing.items()) as items:
            queue = RecordQueue(items, self._logged, self._end_ms)
            first = queue.head(self._stop)
            if first is not None:
                items.fill(self._stop)
                freeze_gc()
                if self._start(first[0].due_ms):
                    complete = self._send_all(queue)
            elif not self._stop.is_set():
                complete = True
        self._release_held()
        self._monitor.close_window(wall_time.now_us(), None)
        if self._stop.is_set():
            self._outbox.flush(STOP_FLUSH_S)
        else:
            self._outbox.flush()
        report = self._report(complete)
        if self._on_progress:
            self._on_progress(report)
        return report

    def _start(self, first_due_ms: int) -> bool:
        """Start the clock; False if the sender is stopped meanwhile."""
        has_records = any(len(ordinals) for ordinals in self._logged.values())
        if has_records and self._controls is not None and self._controls.paused:
            return self._stand_still(first_due_ms)
        segment = self._clock.start(first_due_ms, has_records)
        if segment is not None:
            self._use_segment(segment)
        return segment is not None

    def _use_segment(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._segment = segment
        self._segment_header = (h.SEGMENT, h.encode_int(segment.number))

    def _send_all(self, queue: RecordQueue) -> bool:
        """Send until the end of the stream (True) or until `stop` is set (False)."""
        while (head := queue.head(self._stop)) is not None:
            item, ordinal = head
            intended_us = schedule.intended_us(self._current_segment, item.due_ms)
            match self._wait_until(intended_us, item.due_ms):
                case _Wait.STOPPED:
                    return False
                case _Wait.JUMPED:
                    # Event time goes on where it stopped: no time passed for the line.
                    self._use_segment(self._clock.restart(item.due_ms))
                case _Wait.BEHIND:
                    segment = self._clock.start(item.due_ms, has_records=True)
                    if segment is None:
                        return False
                    self._use_segment(segment)
                case _Wait.CONTROLLED:
                    if not self._follow_controls(queue, item.due_ms):
                        return False
                case _Wait.DUE:
                    self._send_or_hold(item, ordinal, intended_us)
                    queue.advance()
        return not self._stop.is_set()

    def _follow_controls(self, queue: RecordQueue, due_ms: int) -> bool:
        """Add records, change the speed, or stand still; False once `stop` is set."""
        assert self._controls is not None
        added = self._controls.take_added()
        if self._plan.track is not None:
            for item in added:
                self._plan.track(item)
        queue.add(added)
        if self._controls.paused:
            return self._stand_still(due_ms)
        if self._controls.share != self._share:
            self._share = self._controls.share
            self._use_segment(self._clock.change_speed(self._share, due_ms))
        return True

    def _stand_still(self, due_ms: int) -> bool:
        """Stop event time until the controls let it go on; False once `stop` is set."""
        assert self._controls is not None
        self._use_segment(self._clock.change_speed(0.0, due_ms))
        while self._controls.paused:
            if self._stop.wait(STILL_S):
                return False
            if wall_time.steady_us() >= self._next_progress_us:
                self._progress(wall_time.now_us(), None)
        self._jumps.jumped()  # while it stood still that changed nothing
        self._share = self._controls.share
        self._use_segment(self._clock.change_speed(self._share, due_ms))
        return True

    def _is_controlled(self) -> bool:
        """Whether the speed or the pause in force is not what was asked for."""
        return self._controls is not None and (self._controls.paused or self._controls.share != self._share)

    @property
    def _current_segment(self) -> Segment:
        assert self._segment is not None
        return self._segment

    def _wait_until(self, intended_us: int, due_ms: int) -> _Wait:
        """Wait for a record's tick; meanwhile release held records and report progress."""
        due_us = schedule.next_tick_us(intended_us, self._tick.us)
        while not self._stop.is_set():
            now_us = wall_time.now_us()
            if self._jumps.jumped():  # held records must bear the new segment
                return _Wait.JUMPED
            steady_us = wall_time.steady_us()
            if steady_us >= self._next_progress_us:
                self._progress(now_us, intended_us)
            if now_us - intended_us > schedule.SLEPT_US:
                return _Wait.BEHIND  # held records must bear the new segment
            if self._is_controlled():
                return _Wait.CONTROLLED
            if now_us >= due_us and len(self._held) < MAX_HELD_RECORDS:
                if self._controls is None or self._controls.may_pass(due_ms, self._missing.logged_to_ms):
                    return _Wait.DUE
                if self._controls.has_added:
                    return _Wait.CONTROLLED
                self._stop.wait(PASS_S)
                continue
            if self._held and (now_us >= self._hold_until_us or len(self._held) >= MAX_HELD_RECORDS):
                self._release_held()
                continue
            # Never longer than to the next progress report, in which time a jump of the clock is noticed.
            wait_us = min(due_us - now_us, self._next_progress_us - steady_us)
            if self._held:
                wait_us = min(wait_us, self._hold_until_us - now_us)
            self._stop.wait(max(wait_us, 0) / 1e6)
        return _Wait.STOPPED

    def _send_or_hold(self, item: Item, ordinal: int, intended_us: int) -> None:
        topic = item.topic
        if topic in self._topics_with_gaps and ordinal > self._logged[topic].maximum:
            # Fill every gap first: the next start finds gaps only within the bound below its maximum.
            self._release_held()
            self._outbox.flush()
            self._topics_with_gaps.discard(topic)
        if self._controls is not None:
            item = self._controls.applied(item)
        if self._plan.react is not None:
            changed_item = self._plan.react(item)
            self._send_retries(item.due_ms, intended_us)
            if changed_item is None:
                self._left_out[topic].append(ordinal)
                return
            item = changed_item
        if topic == TRANSACTIONS_TOPIC:
            self._hand_over(item, ordinal, intended_us)
            self._monitor.add_send(intended_us, wall_time.now_us())
            return
        if not self._held:
            self._hold_until_us = wall_time.now_us() + MAX_HOLD_US
        self._held.append((item, ordinal, intended_us))

    def _send_retries(self, now_ms: int, intended_us: int) -> None:
        """Send what customers try again by now; it has no ordinal, since the source does not know it."""
        for item in self._plan.retries(now_ms) if self._plan.retries is not None else ():
            self._hand_over(item, None, intended_us)
            self._retried += 1

    def _release_held(self) -> None:
        held, self._held = self._held, []
        for item, ordinal, intended_us in held:
            self._hand_over(item, ordinal, intended_us)

    def _hand_over(self, item: Item, ordinal: int | None, intended_us: int) -> None:
        while not self._outbox.wait_for_room():
            self._progress(wall_time.now_us(), intended_us)
        event = item.event
        if isinstance(event, Transaction):
            event = msgspec.structs.replace(event, sent_at=intended_us)
        value = event.value if isinstance(event, RawValue) else encoder.encode(event)
        headers = [self._segment_header, self._source_header]
        if ordinal is not None:
            headers.append((h.ORDINAL, h.encode_int(ordinal)))
        self._outbox.hand_over(self._plan.prefix + item.topic, item.key, value, headers)
        self._sent[item.topic] += ordinal is not None
        if item.topic == TRANSACTIONS_TOPIC:
            _TRANSACTIONS_OK.inc()
        elif item.topic == LABELS:
            _LABELS_OK.inc()

    def _progress(self, now_us: int, next_us: int | None) -> None:
        self._outbox.check()
        window = self._monitor.close_window(now_us, next_us)
        if window is not None:
            self._tick.adapt(window.intended_per_s, window.delay_p90_ms)
        HEARTBEAT.set(now_us / 1e6)
        if self._on_progress:
            self._on_progress(self._report(False))
        self._next_progress_us = wall_time.steady_us() + PROGRESS_US

    def _report(self, complete: bool) -> SendReport:
        delays = self._monitor.delays
        return SendReport(
            source=self._source.name,
            speed=self._plan.speed,
            seconds=self._plan.seconds,
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
            tick_ms=self._tick.us / 1000,
            left_out={topic: list(ordinals) for topic, ordinals in self._left_out.items() if ordinals},
            retried=self._retried,
        )


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
