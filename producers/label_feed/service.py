"""The loop of the label feed: reads decisions and the clock from the log, sends the labels that are due."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from fraudsim import metrics
from fraudsim.log import headers as h
from fraudsim.log.acceptance import out_of_limits
from fraudsim.log.clock import Clock, past_limit_ms
from fraudsim.log.consumer import existing_partitions
from fraudsim.log.events import Label, Segment, encoder
from fraudsim.log.topics import DECISIONS, LABELS
from fraudsim.process.garbage_collection import freeze_gc
from fraudsim.settings import Settings
from producers.controls.controls import Placement
from producers.label_feed.feed import FeedReport, LabelFeed
from producers.label_feed.log_reader import FeedLogReader
from producers.labels.back_office import BackOffice
from producers.outbox.clients import open_outbox
from producers.outbox.outbox import Outbox
from producers.sender import schedule
from producers.sources.source import Item, Source

PROGRESS_S: Final = 1.0
DECISION_TIMEOUT_S: Final = 60.0
"""Wall time that a label waits for the decision on its transaction; without one there was no payment."""
QUIET_S: Final = 5.0
"""At the end of the stream, transactions that are undecided after this long without decisions stay so."""
ABSENCE_S: Final = 300.0
"""At the end of the stream, a sender that has not sent the source's last transactions is waited for."""
END_MARGIN_S: Final = 1.0
"""The feed ends this long after the end of the stream, when the last transactions are in the log."""
STOP_FLUSH_S: Final = 10.0
DELIVERY_TIMEOUT_MS: Final = 1_800_000
"""A label may be long in coming, as after a pause of the process: one that is too late is sent once more."""


async def feed_labels(
    source: Source,
    make_office: Callable[[Mapping[str, int]], BackOffice],
    settings: Settings,
    *,
    speed: float,
    seconds: float | None,
    stop: threading.Event,
    on_progress: Callable[[FeedReport], None] = lambda report: None,
    records_of: Callable[[Placement], Sequence[Item]] = lambda placement: (),
) -> FeedReport:
    """Send labels until the live stream ends or `stop` is set.

    Args:
        make_office: makes the back office, given the event times of analysts' verdicts in the log, by
            transaction.
        speed: event milliseconds per wall millisecond.
        seconds: wall seconds of live traffic; labels that become known later are not sent. None: endless.
        records_of: makes the records of an attack that was launched on the stream.

    Raises:
        FraudsimError: a topic is missing.
        SendError: Kafka did not acknowledge a label. End the process; the next start sends what is missing.
    """
    partitions = existing_partitions(settings.kafka_bootstrap, [LABELS, DECISIONS])
    outbox = open_outbox(settings, [LABELS], delivery_timeout_ms=DELIVERY_TIMEOUT_MS)
    end_ms = schedule.end_ms(source.start_ms, speed, seconds)
    try:
        async with FeedLogReader.open(settings, partitions) as reader:
            logged_labels = await reader.read_labels()
            late_ms = past_limit_ms(speed)
            reviewed = {tx_id: ms for (tx_id, by, _), ms in logged_labels.items() if by == "analyst"}
            office = make_office(reviewed)
            feed = LabelFeed(source, office, len(partitions[DECISIONS]), end_ms, late_ms, logged_labels)
            freeze_gc()
            sender = _LabelSender(outbox, f"labels-{source.name}")
            complete, report_at = False, 0.0
            while not stop.is_set() and not complete:
                decisions = await reader.poll()
                for placement in await reader.new_placements():
                    feed.add_placement(placement, records_of(placement))
                for partition, outcome in decisions:
                    feed.add_decision(partition, outcome)
                if await reader.caught_up() and reader.clock.current.speed > 0:
                    complete = await _send_due(feed, reader, sender, end_ms)
                outbox.check()
                if time.monotonic() >= report_at:
                    report_at = time.monotonic() + PROGRESS_S
                    metrics.HEARTBEAT.set_to_current_time()
                    on_progress(feed.report(False))
            outbox.flush(STOP_FLUSH_S)
            while sender.send_late_again(reader.clock):
                outbox.flush(STOP_FLUSH_S)
            report = feed.report(complete)
            on_progress(report)
            return report
    finally:
        outbox.close(0)


async def _send_due(feed: LabelFeed, reader: FeedLogReader, sender: "_LabelSender", end_ms: float) -> bool:
    """Send the labels that are due; True once the stream is over and its transactions are decided."""
    segment, now_ms = reader.clock.current, reader.clock.now_ms(time.time() * 1000)
    margin_ms = END_MARGIN_S * 1000 * segment.speed
    complete = False
    if now_ms >= end_ms + margin_ms:
        if await reader.all_decided(feed.first.last_source):
            complete = feed.is_decided_to_end(2 * margin_ms) or reader.quiet_s > ABSENCE_S
        else:
            complete = reader.quiet_s > QUIET_S
    wait_ms = 0 if complete else round(DECISION_TIMEOUT_S * 1000 * segment.speed)
    for label in feed.due_labels(now_ms, segment, wait_ms):
        sender.send(label, segment)
        _SENT.inc()
    feed.delayed += sender.send_late_again(reader.clock)
    return complete


class _LabelSender:
    """Hands labels to the outbox, in the name of a source."""

    def __init__(self, outbox: Outbox, source: str) -> None:
        self._outbox = outbox
        self._source_header = (h.SOURCE, source.encode())
        self._late: deque[Label] = deque()
        """Labels that came to the broker too late to be valid; filled by the client's thread."""

    def send(self, label: Label, segment: Segment) -> None:
        while not self._outbox.wait_for_room():
            metrics.HEARTBEAT.set_to_current_time()
        headers = [(h.SEGMENT, h.encode_int(segment.number)), self._source_header]

        def on_ack(broker_ts_ms: int) -> None:
            if out_of_limits(segment, label.known_at, "known_at", broker_ts_ms) is not None:
                self._late.append(label)

        self._outbox.hand_over(LABELS, label.card_id, encoder.encode(label), headers, on_ack)

    def send_late_again(self, clock: Clock) -> int:
        """Send the labels that came too late once more, as known now; returns their number.

        This process was paused, or Kafka was away, between their time and the broker's.
        """
        count = len(self._late)
        for _ in range(count):
            now_ms = clock.now_ms(time.time() * 1000)
            self.send(msgspec.structs.replace(self._late.popleft(), known_at=now_ms), clock.current)
        return count


_SENT = metrics.LABELS.labels(stage="sent", outcome="ok")
