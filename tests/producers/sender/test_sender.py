"""The sender against a real Kafka: every record at its time, exactly once, whatever kills it.

Run as a program, this file is a sender process for the tests to kill.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.clock import Clock
from fraudsim.log.clock_log import open_clock, start_log
from fraudsim.log.events import Label, Transaction, Truth, decode_transaction
from fraudsim.log.partitioning import partition_of
from fraudsim.log.topics import CLOCK, LABELS, TRANSACTIONS, TRUTH, create_topics
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from producers.outbox.clients import open_outbox
from producers.outbox.kafka_python_outbox import KafkaPythonOutbox
from producers.outbox.outbox import SendError
from producers.sender import schedule, sender, wall_time
from producers.sender.clock_starter import DirectClockStarter
from producers.sender.schedule import intended_us
from producers.sender.send_plan import SendControl, SendPlan, SendReport
from producers.sender.sender import TOPICS, send
from producers.sender.shard_coordinator import send_in_shards
from producers.sender.shard_messages import ShardingPlan
from producers.sources.source import Item
from producers.traffic.report_file import write_report

pytestmark = pytest.mark.stack

START_MS = 1_700_000_000_000
SPEED = 10.0


@dataclass(frozen=True)
class EvenSource:
    """Transactions of 97 cards at one rate, each with its truth, every fifth with a label."""

    rate: float = 400.0
    name: str = "even"
    start_ms: int = START_MS
    count: int | None = None

    def items(self) -> Iterator[Item]:
        number = 0
        while self.count is None or number < self.count:
            ts = self.start_ms + round(number * 1000 * SPEED / self.rate)
            tx_id, card = f"{self.name}-{number}", f"card-{number * 31 % 97}"
            yield Item(ts, TRANSACTIONS, card, Transaction(tx_id=tx_id, ts=ts, card_id=card, amount_cents=1))
            yield Item(ts, TRUTH, card, Truth(tx_id=tx_id, is_fraud=False))
            if number % 5 == 0:
                label = Label(
                    tx_id=tx_id,
                    card_id=card,
                    ts=ts,
                    amount_cents=1,
                    is_fraud=False,
                    source="customer",
                    known_at=ts,
                )
                yield Item(ts, LABELS, card, label)
            number += 1


@pytest.fixture
def settings(stack: Any) -> Settings:
    return Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url)


@pytest.fixture
def prefix(settings: Settings, request: pytest.FixtureRequest) -> str:
    """Topics of the test's own, with a clock that stands at the start."""
    prefix = f"{request.node.name}.".replace("[", "-").replace("]", "")
    create_topics(settings, prefix)
    start_log(settings, START_MS, SPEED, "", "", prefix + CLOCK)
    return prefix


def read_topic(settings: Settings, topic: str) -> dict[int, list[Any]]:
    """Every record of a topic, by partition."""
    from kafka import KafkaConsumer, TopicPartition

    consumer: Any = KafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap.split(","),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        records: dict[int, list[Any]] = defaultdict(list)
        while any(consumer.position(p) < ends[p] for p in partitions):
            for partition, polled in consumer.poll(timeout_ms=200).items():
                records[partition.partition] += polled
        return records
    finally:
        consumer.close()


def own_ordinals(records: list[Any]) -> list[int]:
    found = [h.int_header(r.headers, h.ORDINAL) for r in records if h.header(r.headers, h.SOURCE) == b"even"]
    return [ordinal for ordinal in found if ordinal is not None]


def planned(source: EvenSource, seconds: float) -> Counter[str]:
    end_ms = source.start_ms + seconds * SPEED * 1000
    counts: Counter[str] = Counter()
    for item in source.items():
        if item.due_ms >= end_ms:
            return counts
        counts[item.topic] += 1
    return counts


def send_here(settings: Settings, prefix: str, source: EvenSource, **fields: Any) -> SendReport:
    plan = SendPlan(speed=SPEED, seconds=fields.pop("seconds", None), prefix=prefix)
    opener = fields.pop("outbox_opener", open_outbox)
    clock = DirectClockStarter(open_clock(settings, topic=prefix + CLOCK), source, SPEED)
    return send(source, settings, plan, clock, SendControl(**{"stop": threading.Event(), **fields}), opener)


class SenderProcess:
    """A sender in a process of its own."""

    def __init__(
        self, settings: Settings, prefix: str, seconds: float, report: Path, shards: int = 1
    ) -> None:
        self._report = report
        report.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                sys.executable,
                __file__,
                settings.kafka_bootstrap,
                prefix,
                str(seconds),
                str(report),
                settings.sender,
                str(shards),
            ]
        )

    def sent_here(self) -> int:
        """Transactions this process has sent, by its report."""
        try:
            return int(json.loads(self._report.read_text())["transactions_timed"])
        except OSError:
            assert self.process.poll() is None
            return 0

    def kill_after(self, transactions: int) -> None:
        assert poll_until(lambda: self.sent_here() >= transactions, 20)
        self.process.kill()
        self.process.wait()

    def finish(self) -> int:
        return self.process.wait(timeout=30)


def write_foreign(settings: Settings, prefix: str) -> None:
    """What HTTP, other sources and nobody in particular write into the same topics."""
    from kafka import KafkaProducer

    producer: Any = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    for topic in TOPICS:
        for number in range(40):
            odd = [[], [("ordinal", b"99999999")], [("source", b"other"), ("ordinal", b"5000000")],
                   [("source", b"even")], [("source", b"even"), ("ordinal", b"x")]]  # fmt: skip
            producer.send(
                prefix + topic, key=b"k%d" % number, value=b"\xff not json", headers=odd[number % 5]
            )
    producer.flush()
    producer.close()


@pytest.mark.parametrize(("client", "kills"), [("kafka-python", 2), ("confluent", 2)])
def test_after_kills_every_record_is_there_once_and_in_order(
    settings: Settings, prefix: str, tmp_path: Path, client: str, kills: int
) -> None:
    settings = settings.model_copy(update={"sender": client})
    seconds, report = 2.0, tmp_path / "report.json"
    for _ in range(kills):
        SenderProcess(settings, prefix, seconds, report).kill_after(100)
        write_foreign(settings, prefix)
    assert SenderProcess(settings, prefix, seconds, report).finish() == 0

    expected = planned(EvenSource(), seconds)
    last: dict[str, Any] = json.loads(report.read_text())
    assert last["complete"]
    assert last["records"] == dict(expected)
    clock = open_clock(settings, topic=prefix + CLOCK).clock
    assert len(clock.segments) == kills + 2  # standing still, and one a start
    segments = {segment.number: segment for segment in clock.segments}
    for topic in TOPICS:
        by_partition = read_topic(settings, prefix + topic)
        ordinals = {p: own_ordinals(records) for p, records in by_partition.items()}
        assert sorted(o for sequence in ordinals.values() for o in sequence) == list(range(expected[topic]))
        assert all(sequence == sorted(sequence) for sequence in ordinals.values())
    for partition, records in read_topic(settings, prefix + TRANSACTIONS).items():
        for record in records:
            if h.header(record.headers, h.SOURCE) != b"even" or not own_ordinals([record]):
                continue
            event = decode_transaction(record.value)
            number = h.int_header(record.headers, h.SEGMENT)
            assert number is not None
            assert event.sent_at == intended_us(segments[number], event.ts)
            assert event.ts < START_MS + seconds * SPEED * 1000
            assert record.key.decode() == event.card_id
            assert partition == partition_of(event.card_id, settings.partitions)


def test_a_stopped_sender_ends_well_and_goes_on_later(
    settings: Settings, prefix: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    first = SenderProcess(settings, prefix, 1.5, report)
    assert poll_until(lambda: first.sent_here() > 0, 20)
    first.process.send_signal(signal.SIGTERM)
    assert first.finish() == 0
    stopped: dict[str, Any] = json.loads(report.read_text())
    assert not stopped["complete"]
    by_partition = read_topic(settings, prefix + TRANSACTIONS)
    assert stopped["records"][TRANSACTIONS] == sum(len(own_ordinals(r)) for r in by_partition.values())

    assert SenderProcess(settings, prefix, 1.5, report).finish() == 0
    assert json.loads(report.read_text())["records"] == dict(planned(EvenSource(), 1.5))


def test_when_all_is_sent_another_start_adds_nothing(settings: Settings, prefix: str) -> None:
    source = EvenSource(count=50)
    first = send_here(settings, prefix, source)
    again = send_here(settings, prefix, source, earlier=first)
    assert first.complete
    assert again.complete
    assert again.records == first.records == {TRANSACTIONS: 50, TRUTH: 50, LABELS: 10}
    assert again.segments == first.segments
    assert (again.starts, again.transactions_timed) == (2, 50)


def test_after_a_sleep_event_time_goes_on_where_it_stopped(
    settings: Settings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    awake, slept_us = wall_time.now_us, 0
    monkeypatch.setattr(wall_time, "now_us", lambda: awake() + slept_us)

    class Sleep(threading.Event):
        """The machine sleeps while the sender waits, not between the send of a record and its stamp."""

        def wait(self, timeout: float | None = None) -> bool:
            nonlocal slept_us
            if first_sent.is_set():
                slept_us = 60_000_000
            return super().wait(timeout)

    first_sent = threading.Event()
    monkeypatch.setattr(
        KafkaPythonOutbox,
        "hand_over",
        _after(KafkaPythonOutbox.hand_over, first_sent.set),
    )
    done = send_here(settings, prefix, EvenSource(count=400), stop=Sleep())
    assert done.complete
    assert done.records[TRANSACTIONS] == 400
    before, after = done.segments
    assert after.wall_epoch_ms - before.wall_epoch_ms > 60_000
    assert START_MS < after.event_epoch_ms < START_MS + 400 * 1000 * SPEED / 400
    assert max(done.delay_us_counts) < 30_000_000


def _after(method: Any, then: Any) -> Any:
    def call(*args: Any) -> None:
        method(*args)
        then()

    return call


def test_a_source_that_starts_before_the_log_is_refused(settings: Settings, prefix: str) -> None:
    with pytest.raises(FraudsimError, match="start a new log"):
        send_here(settings, prefix, EvenSource(start_ms=START_MS - 1))


def test_a_missing_topic_is_named(settings: Settings, prefix: str) -> None:
    clock = DirectClockStarter(open_clock(settings, topic=prefix + CLOCK), EvenSource(), SPEED)
    plan, control = SendPlan(speed=SPEED, prefix="nowhere."), SendControl(stop=threading.Event())
    with pytest.raises(FraudsimError, match=r"nowhere\.transactions does not exist"):
        send(EvenSource(), settings, plan, clock, control)


def test_what_a_source_raises_ends_the_sender(settings: Settings, prefix: str) -> None:
    class Broken(EvenSource):
        def items(self) -> Iterator[Item]:
            yield next(super().items())
            raise RuntimeError("the file ends in the middle of a row")

    with pytest.raises(RuntimeError, match="middle of a row"):
        send_here(settings, prefix, Broken())


def test_the_tick_follows_the_rate(settings: Settings, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "BUSY_MS", float("inf"))  # however busy this machine is
    monkeypatch.setattr(sender, "usable_cores", lambda: 2)
    report = send_here(settings, prefix, EvenSource(rate=100.0), seconds=2.5)
    assert report.tick_ms == 2.0
    assert report.complete


def test_a_sender_that_cannot_keep_up_says_so_and_reports_it(
    settings: Settings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[dict[str, Any]] = []

    class Log:
        def bind(self, **_: Any) -> "Log":
            return self

        def warning(self, event: str, **fields: Any) -> None:
            warnings.append({"event": event, **fields})

        info = warning

    class Slow:
        """Takes 3 ms a record, so 167 transactions a second where 400 are due; then nothing at all."""

        outstanding = 0
        full_until = 0.0

        def __init__(self, *_: Any) -> None:
            self.handed = 0

        def hand_over(self, *_: Any) -> None:
            self.handed += 1
            time.sleep(0.003)
            if self.handed == 200:
                self.full_until = time.monotonic() + 1

        def wait_for_room(self, timeout_s: float = 0.1) -> bool:
            time.sleep(min(timeout_s, max(0.0, self.full_until - time.monotonic())))
            return time.monotonic() >= self.full_until

        def nothing(self, *_: Any) -> None: ...

        check = flush = close = nothing

    monkeypatch.setattr(sender, "_log", Log())
    monkeypatch.setattr(sender, "PROGRESS_US", 300_000)
    done = send_here(settings, prefix, EvenSource(count=300), outbox_opener=Slow)
    assert done.complete
    assert done.behind_s > 1.5
    assert done.late > 200
    assert len(warnings) == 1  # and no more than one in five seconds
    (warning,) = warnings
    assert warning["event"] == "the schedule is not kept"
    assert warning["achieved_per_s"] < 0.9 * warning["intended_per_s"]
    assert warning["intended_per_s"] == pytest.approx(400, rel=0.05)
    assert warning["delay_p99_ms"] > 30
    assert "--shards" in warning["next_step"]


def main(bootstrap: str, prefix: str, seconds: str, report: str, client: str, shards: str) -> None:
    settings = Settings(_env_file=None, kafka_bootstrap=bootstrap, sender=client)
    sender.PROGRESS_US = 100_000  # type: ignore[misc]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    keep = {"stop": stop, "on_progress": lambda state: write_report(Path(report), state)}
    if shards == "1":
        send_here(settings, prefix, EvenSource(), seconds=float(seconds), **keep)
        return
    plan = ShardingPlan(even_source, settings, int(shards), SPEED, float(seconds), prefix)
    clock = DirectClockStarter(open_clock(settings, topic=prefix + CLOCK), EvenSource(), SPEED)
    send_in_shards(plan, EvenSource(), clock, SendControl(**keep))


def even_source(_: Clock) -> EvenSource:
    return EvenSource()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except SendError:
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
