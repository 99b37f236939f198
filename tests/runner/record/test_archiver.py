"""The archiver against a real Kafka: every record of the log once, also after kills.

Run as a program, this file is an archiver process for the tests to kill.
"""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from aiokafka import AIOKafkaProducer

from fraudsim.archive.completeness import check_no_duplicates, missing_offsets
from fraudsim.archive.log_files import log_files, log_folder, read_log, read_ranges
from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import start_log
from fraudsim.log.events import (
    DeadLetter,
    Decision,
    Label,
    LogPrefix,
    RunControl,
    Stamps,
    Transaction,
    Truth,
    encoder,
)
from fraudsim.log.topics import (
    ARCHIVED,
    CLOCK,
    CONTROL,
    DEAD_LETTERS,
    DECISIONS,
    LABELS,
    TRANSACTIONS,
    TRUTH,
    create_topics,
)
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.record import archiver
from runner.record.archiver import run_archiver
from stream_features.offline.archived_log import archived_ends

pytestmark = pytest.mark.stack

TS = 1_700_000_000_000
PREFIX = LogPrefix(slots={"0": [1, 2]}, tail_from=[3], tail_to=[4])
DECISION = Decision(
    tx_id="t1",
    ts=TS,
    card_id="c1",
    amount_cents=5,
    score=0.25,
    action="approve",
    reasons=["r1", "r2"],
    rule_hits=[],
    model_version="m",
    policy_version="p",
    variant="champion",
    stamps=Stamps(intended=1, received=2, state_read=3, features=4, scored=5, decided=6),
    source_partition=1,
    source_offset=7,
    prefix=PREFIX,
    staleness_ms=1.5,
    features=[1.0, None, 0.1],
    feature_hash="f",
)


@pytest.fixture
def settings(stack: Any) -> Settings:
    return Settings(_env_file=None, kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url)


@pytest.fixture
def prefix(settings: Settings, request: pytest.FixtureRequest) -> str:
    """Topics of the test's own."""
    prefix = f"{request.node.name}.".replace("[", "-").replace("]", "")
    create_topics(settings, prefix)
    start_log(settings, TS, 10.0, "history", "print", prefix + CLOCK)
    return prefix


@pytest.fixture
def producer(settings: Settings) -> Iterator[Any]:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap.split(","))
    yield producer
    producer.close()


def transaction(number: int) -> bytes:
    return encoder.encode(Transaction(tx_id=f"t{number}", ts=TS + number, card_id="c", amount_cents=number))


def write_transactions(producer: Any, prefix: str, first: int, end: int) -> None:
    for number in range(first, end):
        producer.send(prefix + TRANSACTIONS, key=b"card-%d" % (number % 50), value=transaction(number))
    producer.flush()


def archive_here(settings: Settings, run_dir: Path, prefix: str) -> dict[str, int]:
    """Archive up to the present end of the log."""
    stop = threading.Event()
    stop.set()
    return run_archiver(settings, run_dir, stop, drain=True, prefix=prefix)


def count_archived(run_dir: Path) -> int:
    return sum(
        last - first + 1
        for path in log_files(run_dir, TRANSACTIONS)
        for ranges in read_ranges(path).values()
        for first, last in ranges
    )


def check_whole(run_dir: Path, transactions: int) -> None:
    """Transactions 0 to `transactions` − 1 are archived, each once, and no offset is missing."""
    assert check_no_duplicates(run_dir, TRANSACTIONS) == transactions
    assert missing_offsets(run_dir, TRANSACTIONS) == {}
    amounts = read_log(run_dir, TRANSACTIONS, ["amount_cents"])["amount_cents"].to_pylist()
    assert sorted(amounts) == list(range(transactions))


def test_every_record_of_every_topic_is_archived_as_columns(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path
) -> None:
    headers = [("segment", b"1"), ("x", b"\xff\x00")]
    producer.send(prefix + TRANSACTIONS, key=b"c1", value=transaction(1), headers=headers)
    label = Label(
        tx_id="t1", card_id="c1", ts=TS, amount_cents=1, is_fraud=True, source="analyst", known_at=TS
    )
    producer.send(prefix + LABELS, key=b"c1", value=encoder.encode(label))
    producer.send(prefix + TRUTH, key=b"c1", value=encoder.encode(Truth(tx_id="t1", is_fraud=True)))
    producer.send(prefix + DECISIONS, key=b"c1", value=encoder.encode(DECISION))
    letter = DeadLetter(
        topic=TRANSACTIONS,
        partition=2,
        offset=3,
        reason="why",
        field="ts",
        size_bytes=9,
        raw_base64="",
        broker_ts_ms=TS,
    )
    producer.send(prefix + DEAD_LETTERS, key=b"transactions/2/3", value=encoder.encode(letter))
    control = RunControl(control_id="c1", kind="stop", ts=TS, part="redis", seconds=2.5)
    producer.send(prefix + CONTROL, value=encoder.encode(control))
    producer.flush()

    assert archive_here(settings, tmp_path, prefix) == dict.fromkeys(ARCHIVED, 1)

    (row,) = read_log(tmp_path, TRANSACTIONS).to_pylist()
    assert (row["topic"], row["offset"], row["key"], row["error"], row["raw"]) == (
        TRANSACTIONS,
        0,
        "c1",
        None,
        None,
    )
    assert row["headers"] == [{"name": name, "value": value} for name, value in headers]
    assert (row["tx_id"], row["ts"], row["amount_cents"], row["merchant_id"]) == ("t1", TS + 1, 1, None)
    assert row["broker_ts_ms"] > TS
    (decision,) = read_log(tmp_path, DECISIONS).to_pylist()
    assert [decision[f"stamp_{n}"] for n in ("intended", "received", "decided")] == [1, 2, 6]
    assert decision["features"][:2] == [1.0, None]
    assert decision["features"][2] == pytest.approx(0.1)
    assert decision["prefix"] == encoder.encode(PREFIX).decode()
    assert (decision["reasons"], decision["rule_hits"], decision["source_offset"]) == (["r1", "r2"], [], 7)
    (asked,) = read_log(tmp_path, CONTROL).to_pylist()
    assert {name: asked[name] for name in RunControl.__struct_fields__} == msgspec.structs.asdict(control)
    (kept,) = read_log(tmp_path, DEAD_LETTERS).to_pylist()
    assert (kept["offset"], kept["letter_topic"], kept["letter_offset"]) == (0, TRANSACTIONS, 3)
    assert read_log(tmp_path, LABELS, ["is_fraud", "source"]).to_pylist() == [
        {"is_fraud": True, "source": "analyst"}
    ]
    assert read_log(tmp_path, TRUTH, ["is_fraud"]).to_pylist() == [{"is_fraud": True}]
    assert read_log(tmp_path, CLOCK, ["history", "speed"]).to_pylist() == [
        {"history": "history", "speed": 0.0}
    ]


MALFORMED = {
    "not JSON": b"\xff\xfe not json",
    "no fields": b"{}",
    "a wrong type": b'{"tx_id": 5}',
    "an amount past int64": b'{"tx_id":"t","ts":1,"card_id":"c","amount_cents":99999999999999999999}',
    "too large": b'{"x":"' + b"x" * 70_000 + b'"}',
    "an empty value": b"",
}


def test_what_cannot_be_read_is_kept_as_it_came(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path
) -> None:
    for value in MALFORMED.values():
        producer.send(prefix + TRANSACTIONS, key=b"\xff\x00", value=value, partition=0)
    producer.send(prefix + TRANSACTIONS, key=b"c", value=None, partition=0)
    producer.send(prefix + TRANSACTIONS, value=transaction(0), partition=0)
    past_int64 = encoder.encode(DECISION).replace(
        b'"source_offset":7', b'"source_offset":9223372036854775808'
    )
    for value in (encoder.encode(DECISION), past_int64):
        producer.send(prefix + DECISIONS, value=value, partition=0)
    producer.flush()

    archive_here(settings, tmp_path, prefix)

    rows = read_log(tmp_path, TRANSACTIONS).to_pylist()
    bad, empty, good = rows[: len(MALFORMED)], rows[-2], rows[-1]
    assert [row["raw"] for row in bad] == list(MALFORMED.values())
    assert all(row["error"] and row["tx_id"] is None for row in bad)
    assert {row["key"] for row in bad} == {"\\xff\x00"}
    assert (empty["raw"], empty["error"]) == (None, "value: the record has no value")
    assert (good["error"], good["key"], good["tx_id"]) == (None, None, "t0")
    valid, too_large = read_log(tmp_path, DECISIONS).to_pylist()
    assert (valid["error"], valid["source_offset"]) == (None, 7)
    assert too_large["raw"] == past_int64
    assert "no column can hold it" in too_large["error"]


class ArchiverProcess:
    """An archiver in a process of its own, flushing often."""

    def __init__(self, settings: Settings, prefix: str, run_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, settings.kafka_bootstrap, prefix, str(run_dir)]
        )


def test_after_kills_nothing_is_missing_and_nothing_twice(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path
) -> None:
    written = 0
    for _ in range(3):
        write_transactions(producer, prefix, written, written + 3_000)
        running = ArchiverProcess(settings, prefix, tmp_path).process
        count = count_archived(tmp_path) if log_folder(tmp_path).exists() else 0
        assert poll_until(lambda count=count: count_archived(tmp_path) > count, 20)  # type: ignore[misc]
        write_transactions(producer, prefix, written + 3_000, written + 4_000)
        running.kill()
        running.wait()
        written += 4_000
    (log_folder(tmp_path) / f".{TRANSACTIONS}-000099.parquet.tmp").write_bytes(b"half")

    archive_here(settings, tmp_path, prefix)

    check_whole(tmp_path, written)
    assert not list(log_folder(tmp_path).glob(".*"))


def test_told_to_stop_it_reads_to_the_logs_end_first(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path
) -> None:
    running = ArchiverProcess(settings, prefix, tmp_path).process
    assert poll_until(lambda: bool(log_files(tmp_path, CLOCK)), 20)
    write_transactions(producer, prefix, 0, 5_000)
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=20) == 0
    check_whole(tmp_path, 5_000)


@pytest.mark.parametrize("file_index", [1, 2])
def test_a_broken_file_is_set_aside_and_its_records_are_read_again(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path, file_index: int
) -> None:
    for part in range(3):
        write_transactions(producer, prefix, part * 500, part * 500 + 500)
        archive_here(settings, tmp_path, prefix)
    broken = log_files(tmp_path, TRANSACTIONS)[file_index]
    broken.write_bytes(broken.read_bytes()[:-100])
    write_transactions(producer, prefix, 1_500, 1_700)

    archive_here(settings, tmp_path, prefix)

    check_whole(tmp_path, 1_700)
    assert broken.with_name(broken.name + ".corrupt").exists()
    assert not broken.exists()


async def write_in_transactions(settings: Settings, topic: str, first: int, end: int) -> None:
    """A record in each transaction of Kafka's; every third is aborted. Each leaves a marker in the log."""
    async with AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id=topic
    ) as producer:
        for number in range(first, end):
            await producer.begin_transaction()
            await producer.send_and_wait(topic, transaction(number), partition=0)
            await (producer.commit_transaction() if number % 3 else producer.abort_transaction())


def test_offsets_that_hold_no_record_are_no_holes(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path
) -> None:
    asyncio.run(write_in_transactions(settings, prefix + TRANSACTIONS, 0, 10))
    write_transactions(producer, prefix, 10, 100)
    archive_here(settings, tmp_path, prefix)
    asyncio.run(write_in_transactions(settings, prefix + TRANSACTIONS, 100, 110))
    write_transactions(producer, prefix, 110, 200)
    archive_here(settings, tmp_path, prefix)

    check_whole(tmp_path, 200)
    end = archived_ends(tmp_path, settings.partitions)[0]
    assert not end.has_hole
    assert (
        end.last
        == read_log(tmp_path, TRANSACTIONS, ["partition", "offset"])
        .filter(pc.field("partition") == 0)["offset"]
        .to_pylist()[-1]
    )
    for path in log_files(tmp_path, TRANSACTIONS)[:1]:
        path.write_bytes(b"broken")
    archive_here(settings, tmp_path, prefix)
    check_whole(tmp_path, 200)


def test_what_waits_for_a_file_is_bounded_in_bytes(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiver, "FLUSH_BYTES", 1024 * 1024)
    for _ in range(12):
        producer.send(prefix + TRANSACTIONS, value=b"j" * 900_000, partition=0)
        producer.flush()
    archive_here(settings, tmp_path, prefix)
    assert len(log_files(tmp_path, TRANSACTIONS)) > 2


def test_a_folder_of_another_log_is_refused(
    settings: Settings, prefix: str, producer: Any, tmp_path: Path
) -> None:
    write_transactions(producer, prefix, 0, 100)
    archive_here(settings, tmp_path, prefix)
    create_topics(settings, "fresh." + prefix)
    with pytest.raises(FraudsimError, match="belongs to another log"):
        archive_here(settings, tmp_path, "fresh." + prefix)


def test_an_empty_archive_reads_as_no_rows(tmp_path: Path) -> None:
    table = read_log(tmp_path, DECISIONS)
    assert table.num_rows == 0
    assert table.schema.field("features").type == pa.list_(pa.float32())
    assert check_no_duplicates(tmp_path, TRANSACTIONS) == 0


def main(bootstrap: str, prefix: str, run_dir: str) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = Settings(_env_file=None, kafka_bootstrap=bootstrap)
    run_archiver(settings, Path(run_dir), stop, drain=True, flush_every_s=0.1, prefix=prefix)


if __name__ == "__main__":
    main(*sys.argv[1:])
