"""The open-loop sender: every record of a source at its intended time, exactly once over all restarts."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from fraudsim.errors import FraudsimError
from fraudsim.garbage_collection import freeze_gc
from fraudsim.log import headers as h
from fraudsim.log.clock_log import ClockLog
from fraudsim.log.events import Segment, Transaction, encoder
from fraudsim.log.topics import LABELS, TRUTH
from fraudsim.log.topics import TRANSACTIONS as TRANSACTIONS_TOPIC
from fraudsim.metrics import HEARTBEAT, TRANSACTIONS
from fraudsim.metrics import LABELS as LABELS_SENT
from fraudsim.settings import Settings
from producers.sender import schedule
from producers.sender.clock_start import ClockStart, OwnClock
from producers.sender.log_ends import find_present, partitions_of
from producers.sender.outbox import Outbox, open_outbox
from producers.sender.resume import Present
from producers.sender.schedule_watch import ScheduleWatch
from producers.sources.prefetch import Ahead
from producers.sources.source import Item, Raw, Source

TOPICS: Final = (TRANSACTIONS_TOPIC, LABELS, TRUTH)
HOLD_US: Final = 50_000
"""Labels and truth may wait this long for company: nobody counts their latency, and each wake-up costs.
(Longer saves little and makes bursts that delay transactions: p99 11 ms at 200 ms, 5.5 at 50.)"""
HOLD_RECORDS: Final = 200
"""So many go at once even while transactions are overdue."""
SWITCH_S: Final = 0.0005
"""A send passes between three threads; each may wait this long for the one that makes the stream ahead."""
PROGRESS_US: Final = 1_000_000
STOP_FLUSH_S: Final = 20.0


React = Callable[[Item], Item | None]
"""Gives a record as it is to be sent, None where it is not."""


class SendReport(msgspec.Struct, kw_only=True):
    """What the sender did; over all starts of one source where an earlier report is handed on."""

    source: str
    speed: float
    seconds: float | None
    starts: int
    complete: bool
    """Everything up to the end of the live stream is in the log."""
    records: dict[str, int]
    """Records of the source per topic that are in the log (the last second's may be on their way)."""
    transactions_timed: int
    late: int
    """Transactions handed over more than `schedule.LATE_US` behind their intended time."""
    behind_s: float = 0.0
    """Wall seconds in which more than 1 % of the transactions were late, or none went out though due."""
    delay_p50_ms: float | None
    delay_p99_ms: float | None
    """Handing over to the client minus intended time, transactions only."""
    delay_us_counts: dict[int, int]
    """The distribution behind it: delay in µs (three significant digits) → transactions."""
    segments: list[Segment]
    """Appended to the clock by the sender."""
    left_out: dict[str, list[int]] = {}
    """Ordinals per topic of records that were not sent, because fraudsters had given up before them."""


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
    clock: ClockStart | None = None,
    outbox_opener: Callable[[Settings, Sequence[str]], Outbox] = open_outbox,
    react: React | None = None,
) -> SendReport:
    """Send a source's live stream, going on after what the log holds of it.

    Args:
        speed: event milliseconds per wall millisecond.
        seconds: wall seconds of live traffic; the stream ends at start_ms + seconds · speed in event time,
            however often the sender was killed. None goes on as long as the source does.
        stop: set it to stop early: what is outstanding is flushed.
        on_progress: called every second.
        earlier: the report of the previous start, whose figures are carried on.
        prefix: of the topics' names; `clock_log` must be that of the same prefix.
        clock: sets the clock going, where that is another process's business.
        outbox_opener: opens the outbox, by default the one that the settings name.
        react: may change a record, or leave it out, at the last moment.

    Raises:
        FraudsimError: the speed or the source does not fit the log; a topic, or the client, is missing.
        SendError: Kafka did not acknowledge a record. End the process; the next start mends it.
    """
    if not speed > 0:
        raise FraudsimError(f"speed {speed:g} must be more than 0")
    partitions = partitions_of(settings, [prefix + topic for topic in TOPICS])
    outbox = outbox_opener(settings, list(partitions))
    try:
        found = find_present(settings, partitions, source.name)
        present = {topic: found[prefix + topic] for topic in TOPICS}
        clock = clock or OwnClock(clock_log, source.name, source.start_ms, speed)
        tick_us = schedule.tick_us(settings)
        run = _Run(
            source, outbox, clock, present, speed, seconds, stop, on_progress, earlier, tick_us, prefix, react
        )
        return run.go()
    finally:
        outbox.close(0)  # all is flushed, or given up


class _Run:
    """One start of the sender, from the first record that is missing to the end or to `stop`."""

    def __init__(
        self,
        source: Source,
        outbox: Outbox,
        clock: ClockStart,
        present: Mapping[str, Present],
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
        self._present = present
        self._holes = {topic for topic, there in present.items() if there.missing}
        self._speed = speed
        self._seconds = seconds
        self._end_ms = schedule.end_ms(source.start_ms, speed, seconds)
        self._stop = stop
        self._on_progress = on_progress
        self._tick_us = tick_us
        self._watch = ScheduleWatch(
            _log.bind(source=source.name),
            *((earlier.delay_us_counts, earlier.behind_s) if earlier else (None, 0.0)),
        )
        self._segments: list[Segment] = list(earlier.segments) if earlier else []
        self._starts = 1 + (earlier.starts if earlier else 0)
        before = earlier.left_out if earlier else {}
        # Those that are missing from the end of the log are looked at again.
        self._left_out = {t: [o for o in before.get(t, ()) if o in there] for t, there in present.items()}
        self._sent = Counter({t: len(there) - len(self._left_out[t]) for t, there in present.items()})
        self._held: list[tuple[Item, int, int]] = []
        self._held_until_us = 0
        self._progress_at_us = 0
        self._segment: Segment | None = None
        self._segment_header = (h.SEGMENT, b"")

    def go(self) -> SendReport:
        complete = False
        with Ahead(_missing(self._source, self._present, self._end_ms)) as items:
            first = items.next(self._stop)
            if first is not None:
                items.fill(self._stop)
                freeze_gc()
                there = any(len(present) for present in self._present.values())
                segment = self._clock.start(first[0].due_ms, there)
                if segment is not None:
                    self._follow(segment)
                    complete = self._send_all(first, items)
            elif not self._stop.is_set():
                complete = True
        self._release_held()
        self._watch.look(_now_us(), None)
        if self._stop.is_set():
            self._outbox.flush(STOP_FLUSH_S)
        else:
            self._outbox.flush()
        report = self._report(complete)
        if self._on_progress:
            self._on_progress(report)
        return report

    def _follow(self, segment: Segment) -> None:
        self._segments.append(segment)
        self._segment = segment
        self._segment_header = (h.SEGMENT, h.encode_int(segment.number))

    def _send_all(self, first: "_Numbered", items: "Ahead[_Numbered]") -> bool:
        """Send until the end (True) or until told to stop (False)."""
        numbered: _Numbered | None = first
        while numbered is not None:
            item, ordinal = numbered
            intended_us = schedule.intended_us(self._running, item.due_ms)
            if not self._wait_until(intended_us):
                return False
            if _now_us() - intended_us > schedule.SLEPT_US:
                self._follow(self._clock.go_on(item.due_ms))  # a laptop that slept: on where it stopped
                continue
            self._pass_on(item, ordinal, intended_us)
            numbered = items.next(self._stop)
        return not self._stop.is_set()

    @property
    def _running(self) -> Segment:
        assert self._segment is not None
        return self._segment

    def _wait_until(self, intended_us: int) -> bool:
        """Wait for the tick at which a record is due, doing meanwhile what else is due; False on stop."""
        due_us = schedule.next_tick_us(intended_us, self._tick_us)
        while not self._stop.is_set():
            now_us = _now_us()
            if now_us >= self._progress_at_us:
                self._progress(now_us, intended_us)
            if now_us - intended_us > schedule.SLEPT_US:
                return True  # what is held must go with the new segment
            if now_us >= due_us and len(self._held) < HOLD_RECORDS:
                return True
            if self._held and (now_us >= self._held_until_us or len(self._held) >= HOLD_RECORDS):
                self._release_held()
                continue
            until_us = min(due_us, self._progress_at_us)
            if self._held:
                until_us = min(until_us, self._held_until_us)
            self._stop.wait(max(until_us - now_us, 0) / 1e6)
        return False

    def _pass_on(self, item: Item, ordinal: int, intended_us: int) -> None:
        topic = item.topic
        if topic in self._holes and ordinal > self._present[topic].maximum:
            # The next start must find every hole within the bound below its maximum.
            self._release_held()
            self._outbox.flush()
            self._holes.discard(topic)
        if self._react is not None:
            reacted = self._react(item)
            if reacted is None:
                self._left_out[topic].append(ordinal)
                return
            item = reacted
        if topic == TRANSACTIONS_TOPIC:
            self._hand_over(item, ordinal, intended_us)
            self._watch.sent(intended_us, _now_us())
            return
        if not self._held:
            self._held_until_us = _now_us() + HOLD_US
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
        value = event.value if isinstance(event, Raw) else encoder.encode(event)
        headers = [self._segment_header, (h.ORDINAL, h.encode_int(ordinal)), self._source_header]
        self._outbox.hand_over(self._prefix + item.topic, item.key, value, headers)
        self._sent[item.topic] += 1
        if item.topic == TRANSACTIONS_TOPIC:
            _TRANSACTIONS_OK.inc()
        elif item.topic == LABELS:
            _LABELS_OK.inc()

    def _progress(self, now_us: int, next_us: int) -> None:
        self._outbox.check()
        self._watch.look(now_us, next_us)
        HEARTBEAT.set(now_us / 1e6)
        if self._on_progress:
            self._on_progress(self._report(False))
        self._progress_at_us = now_us + PROGRESS_US

    def _report(self, complete: bool) -> SendReport:
        delays = self._watch.delays
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
            behind_s=round(self._watch.behind_s, 3),
            delay_us_counts=dict(sorted(delays.counts.items())),
            segments=list(self._segments),
            left_out={topic: list(ordinals) for topic, ordinals in self._left_out.items() if ordinals},
        )


_log = structlog.get_logger()
_TRANSACTIONS_OK = TRANSACTIONS.labels(stage="sent", outcome="ok")
_LABELS_OK = LABELS_SENT.labels(stage="sent", outcome="ok")
_Numbered = tuple[Item, int]


def _missing(source: Source, present: Mapping[str, Present], end_ms: float) -> Iterator[_Numbered]:
    """The records to send, with their ordinals: due before the end and not in the log."""
    ordinals: Counter[str] = Counter()
    for item in source.items():
        if item.due_ms >= end_ms:
            return
        ordinal = ordinals[item.topic]
        ordinals[item.topic] += 1
        if ordinal not in present[item.topic]:
            yield item, ordinal


def _now_us() -> int:
    return time.time_ns() // 1000
