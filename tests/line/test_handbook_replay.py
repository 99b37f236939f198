"""The Handbook's file replayed through producer, Kafka and archiver: equals the file, on time."""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import pytest
from structlog import get_logger

from fraudsim.archive.completeness import check_no_duplicates, missing_offsets
from fraudsim.archive.log_files import read_log
from fraudsim.log import events
from fraudsim.log import headers as h
from fraudsim.log.clock import event_time_ms
from fraudsim.log.clock_log import start_log
from fraudsim.log.events import Label, Transaction, Truth
from fraudsim.log.topics import CLOCK, LABELS, TRANSACTIONS, TRUTH, create_topics
from fraudsim.settings import Settings
from producers.datasets.registry import read_dataset, replay_source
from producers.sender.clock_starter import DirectClockStarter
from producers.sender.schedule import end_ms, intended_us
from producers.sender.send_plan import SendControl, SendPlan
from producers.sender.sender import send
from producers.traffic.live_source import LiveStream, live_source
from runner.record.archiver import run_archiver
from stream_features.offline.archived_log import archived_clock
from tests.handbook_file import REAL, needs_the_file

pytestmark = [pytest.mark.stack, needs_the_file]
SPEED = 20_000.0
KINDS = {TRANSACTIONS: Transaction, LABELS: Label, TRUTH: Truth}


@dataclass(frozen=True)
class Archived:
    event: msgspec.Struct
    key: str
    broker_ts_ms: int
    segment: events.Segment
    ordinal: int

    @property
    def arrived_before_ms(self):
        """Event time. The broker's stamp is truncated to whole ms, each `SPEED` ms of event time."""
        return event_time_ms(self.segment, self.broker_ts_ms + 1)


def play(settings, run_dir, prefix, seconds):
    """Send the last third of the file through producer and archiver; None for `seconds` sends all."""
    split_ms = read_dataset(REAL).split_ms()
    create_topics(settings, prefix)
    clock_log = start_log(settings, split_ms, SPEED, "", "", prefix + CLOCK)
    live = live_source(LiveStream(replay=REAL, speed=SPEED), clock_log.clock, settings, get_logger())
    seconds = live.duration_s if seconds is None else seconds
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        archiver = pool.submit(run_archiver, settings, run_dir, stop, drain=True, prefix=prefix)
        try:
            report = send(
                live.source,
                settings,
                SendPlan(speed=SPEED, seconds=seconds, prefix=prefix),
                DirectClockStarter(clock_log, live.source, SPEED),
                SendControl(stop=threading.Event()),
            )
        finally:
            stop.set()
        archiver.result()
    assert report.complete
    return split_ms, end_ms(split_ms, SPEED, seconds)


def archived(run_dir, topic):
    """Every record of a topic, each with the clock segment that its header names."""
    clock, kind = archived_clock(run_dir), KINDS[topic]
    names = [field.name for field in msgspec.structs.fields(kind)]
    assert missing_offsets(run_dir, topic) == {}
    check_no_duplicates(run_dir, topic)
    records = []
    for row in read_log(run_dir, topic).to_pylist():
        assert row["error"] is None
        event = kind(**{name: row[name] for name in names})
        headers = [(item["name"], item["value"]) for item in row["headers"]]
        segment = clock.segment(h.int_header(headers, h.SEGMENT), row["broker_ts_ms"])
        records.append(
            Archived(event, row["key"], row["broker_ts_ms"], segment, h.int_header(headers, h.ORDINAL))
        )
    return records


def by_key(pairs):
    lists = defaultdict(list)
    for key, event in pairs:
        lists[key].append(event)
    return lists


def check(run_dir, split_ms, until_ms):
    """Compare the archive with the file; returns the numbers of transactions and of their labels."""
    offline = {topic: [] for topic in KINDS}
    for item in replay_source(REAL, split_ms).items():
        if item.due_ms < until_ms:
            offline[item.topic].append(item)
    live = {topic: archived(run_dir, topic) for topic in KINDS}

    for record in live[TRANSACTIONS]:
        assert record.event.sent_at == intended_us(record.segment, record.event.ts)
    unstamped = {
        topic: [
            (
                record.key,
                msgspec.structs.replace(record.event, sent_at=0) if topic == TRANSACTIONS else record.event,
            )
            for record in records
        ]
        for topic, records in live.items()
    }
    for topic, items in offline.items():
        expected = [(item.key, item.event) for item in items]
        assert len(unstamped[topic]) == len(expected)
        assert set(unstamped[topic]) == set(expected)
        assert by_key(unstamped[topic]) == by_key(expected)
        for record, (_, event) in zip(live[topic], unstamped[topic], strict=True):
            assert items[record.ordinal].event == event
            assert record.arrived_before_ms > items[record.ordinal].due_ms

    assert all(record.arrived_before_ms > record.event.ts for record in live[TRANSACTIONS])
    assert all(record.arrived_before_ms > record.event.known_at for record in live[LABELS])
    sent = {record.event.tx_id: record for record in live[TRANSACTIONS]}
    live_labels = [record for record in live[LABELS] if record.event.tx_id in sent]
    for label in live_labels:
        transaction = sent[label.event.tx_id]
        assert label.event.known_at > label.event.ts == transaction.event.ts
        assert label.broker_ts_ms >= transaction.broker_ts_ms
    history_labels = [record.event for record in live[LABELS] if record.event.tx_id not in sent]
    assert all(label.ts < split_ms <= label.known_at for label in history_labels)
    assert history_labels
    return len(live[TRANSACTIONS]), len(live_labels)


@pytest.fixture
def settings(stack):
    return Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url)


def test_the_first_day_played_live_is_the_file_and_its_labels_come_when_they_are_known(settings, tmp_path):
    transactions, labels = check(tmp_path, *play(settings, tmp_path, "handbook-day.", 5.0))
    assert transactions == 9_995
    assert labels == 10


@pytest.mark.long
def test_the_whole_live_third_is_the_file_and_its_labels_come_when_they_are_known(settings, tmp_path):
    transactions, labels = check(tmp_path, *play(settings, tmp_path, "handbook-week.", None))
    assert transactions == 66_968
    assert labels == 228
