"""What every outbox must do, with either client, against a real Kafka."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from fraudsim.errors import FraudsimError
from fraudsim.log.partitioning import partition_of
from fraudsim.log.topics import TRANSACTIONS, create_topics
from fraudsim.settings import Settings
from producers.outbox.clients import open_outbox
from producers.outbox.outbox import Outbox, SendError
from runner.stack.stack import start_stack
from runner.supervise.supervisor import Supervisor

CLIENTS = ("kafka-python", "confluent")


@pytest.fixture(params=CLIENTS)
def settings(stack: Any, request: pytest.FixtureRequest) -> Settings:
    return Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap, sender=request.param)


@pytest.fixture
def topic(settings: Settings, request: pytest.FixtureRequest) -> str:
    prefix = f"{request.node.name}.".replace("[", "-").replace("]", "")
    create_topics(settings, prefix)
    return prefix + TRANSACTIONS


@pytest.fixture
def outbox(settings: Settings, topic: str) -> Iterator[Outbox]:
    outbox = open_outbox(settings, [topic])
    yield outbox
    outbox.close(0)


def read(bootstrap: str, topic: str) -> dict[int, list[Any]]:
    consumer: Any = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found: dict[int, list[Any]] = {p.partition: [] for p in partitions}
        while any(consumer.position(p) < ends[p] for p in partitions):
            for partition, records in consumer.poll(timeout_ms=200).items():
                found[partition.partition] += records
        return found
    finally:
        consumer.close()


@pytest.mark.stack
def test_records_arrive_once_in_order_in_the_partition_of_their_key(
    settings: Settings, topic: str, outbox: Outbox
) -> None:
    keys = [f"card-{number}" for number in range(1_500)] + ["", "ü", "x" * 200]
    for number in range(2 * len(keys)):
        assert outbox.wait_for_room()
        key = keys[number % len(keys)]
        outbox.hand_over(topic, key, b"v%d" % number, [("ordinal", b"%d" % number), ("a", b"\xff")])
    assert 0 <= outbox.outstanding <= 2 * len(keys)
    outbox.flush()
    outbox.check()
    assert outbox.outstanding == 0

    found = read(settings.kafka_bootstrap, topic)
    ordinals = {p: [int(record.value[1:]) for record in records] for p, records in found.items()}
    assert sorted(n for sequence in ordinals.values() for n in sequence) == list(range(2 * len(keys)))
    assert all(sequence == sorted(sequence) for sequence in ordinals.values())
    for partition, records in found.items():
        for record in records:
            assert partition == partition_of(record.key.decode(), settings.partitions)
            assert record.headers == [("ordinal", record.value[1:]), ("a", b"\xff")]


@pytest.mark.stack
def test_the_brokers_time_of_a_record_comes_with_its_acknowledgement(
    settings: Settings, topic: str, outbox: Outbox
) -> None:
    stamps: list[int] = []
    for number in range(20):
        outbox.hand_over(topic, "key", b"v%d" % number, [], stamps.append)
    outbox.hand_over(topic, "key", b"nobody asks", [])
    outbox.flush()
    (records,) = filter(None, read(settings.kafka_bootstrap, topic).values())
    assert stamps == [record.timestamp for record in records[:20]]


@pytest.mark.stack
def test_a_record_that_kafka_does_not_take_is_an_error(topic: str, outbox: Outbox) -> None:
    with pytest.raises(SendError, match="did not take a record"):
        send_and_flush(outbox, topic, b"x" * 3_000_000, 5)
    with pytest.raises(SendError):
        outbox.check()


def send_and_flush(outbox: Outbox, topic: str, value: bytes, timeout_s: float) -> None:
    outbox.hand_over(topic, "key", value, [])
    outbox.flush(timeout_s)


@pytest.mark.stack
def test_a_broker_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        addresses = start_stack(tmp_path / "stack", Settings(_env_file=None), supervisor)
        base = Settings(_env_file=None, kafka_bootstrap=addresses.kafka_bootstrap)
        create_topics(base)
        outboxes = [
            open_outbox(
                base.model_copy(update={"sender": client}),
                [TRANSACTIONS],
                max_outstanding=2,
                delivery_timeout_ms=1_500,
            )
            for client in CLIENTS
        ]
        for outbox in outboxes:
            send_and_flush(outbox, TRANSACTIONS, b"before", 10)
        supervisor.stop("kafka")
        for outbox in outboxes:
            outbox.hand_over(TRANSACTIONS, "key", b"after", [])
            outbox.hand_over(TRANSACTIONS, "key", b"after", [])
            assert outbox.outstanding == 2
            assert not outbox.wait_for_room(0.05)
        for outbox in outboxes:
            with pytest.raises(SendError):
                outbox.flush(4)
            outbox.close(0)


class ManualClient:
    """A stand-in for librdkafka: the test delivers the report of each record."""

    def __init__(self) -> None:
        self.reports: list[Callable[[Any, Any], None]] = []

    def produce(self, *_: Any, on_delivery: Callable[[Any, Any], None], **__: Any) -> None:
        self.reports.append(on_delivery)

    def poll(self, _: float) -> int:
        return 0


class Refusal:
    def str(self) -> str:
        return "no"


def test_outstanding_counts_from_the_oldest_that_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    from producers.outbox import confluent_outbox

    client = ManualClient()
    monkeypatch.setattr(confluent_outbox, "Producer", lambda *_, **__: client)
    outbox = confluent_outbox.ConfluentOutbox(Settings(_env_file=None), [], max_outstanding=3)
    for _ in range(3):
        outbox.hand_over("t", "k", b"v", [])
    assert outbox.outstanding == 3
    client.reports[1](None, None)
    client.reports[2](None, None)
    assert outbox.outstanding == 3
    assert not outbox.wait_for_room(0.01)
    client.reports[0](None, None)
    assert outbox.outstanding == 0
    assert outbox.wait_for_room(0)
    for _ in range(2):
        outbox.hand_over("t", "k", b"v", [])
    client.reports[4](Refusal(), None)  # behind one that is stuck
    with pytest.raises(SendError, match="no"):
        outbox.check()


def test_a_missing_extra_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    monkeypatch.delitem(sys.modules, "producers.outbox.confluent_outbox", raising=False)
    with pytest.raises(FraudsimError) as caught:
        open_outbox(Settings(_env_file=None, sender="confluent"), [])
    message = str(caught.value)
    assert message == (
        "setting FRAUDSIM_SENDER=confluent needs confluent_kafka: pip install 'fraudsim[load]'"
    )
