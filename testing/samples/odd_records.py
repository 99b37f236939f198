"""Records that other producers may write to the log: unreadable headers, and Kafka transactions."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from aiokafka import AIOKafkaProducer
from kafka import KafkaProducer

from fraudsim.archive.completeness import missing_offsets
from fraudsim.archive.log_files import read_log
from fraudsim.log.headers import UNREADABLE_HEADERS
from fraudsim.log.topics import TRANSACTIONS
from fraudsim.settings import Settings

SEGMENT = [("segment", b"1")]


class RawName(str):
    """A header name that is sent as bytes which are not UTF-8."""

    __slots__ = ()

    def encode(self, *_args: Any, **_options: Any) -> bytes:
        return b"\xff\xfe"


def transaction_body(now_ms: int, **changes: Any) -> dict[str, Any]:
    """A valid transaction as a JSON object, with `changes`; a field whose change is `...` is left out."""
    body = {
        "schema_version": 1,
        "tx_id": "x",
        "ts": now_ms,
        "card_id": "c1",
        "merchant_id": "m1",
        "amount_cents": 100,
    }
    body.update(changes)
    return {name: value for name, value in body.items() if value is not ...}


def _encoded_transaction(now_ms: int, tx_id: str) -> bytes:
    return json.dumps(transaction_body(now_ms, tx_id=tx_id, card_id=f"card-{tx_id}")).encode()


def send_unreadable_headers(settings: Settings, now_ms: int, batches: int = 3) -> tuple[list[str], list[str]]:
    """Send records with unreadable headers, each between valid ones in one batch, in every partition.

    Returns:
        The tx_ids of the valid records, and the keys of the others.
    """
    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all", linger_ms=50)
    valid_ids: list[str] = []
    unreadable_keys: list[str] = []
    for batch in range(batches):
        for partition in range(settings.partitions):
            for n in range(5):
                tx_id = f"odd-{batch}-{partition}-{n}"
                source_headers = [("source", b"odd"), ("ordinal", str(len(valid_ids)).encode())]
                if n in (1, 2):
                    unreadable_keys.append(tx_id)
                    headers = [*SEGMENT, (RawName("x"), b"1"), *source_headers]
                else:
                    valid_ids.append(tx_id)
                    headers = [*SEGMENT, *source_headers]
                value = _encoded_transaction(now_ms, tx_id)
                producer.send(TRANSACTIONS, value, tx_id.encode(), headers, partition=partition)
        producer.flush()
    producer.close()
    return valid_ids, unreadable_keys


async def send_in_transactions(
    settings: Settings, now_ms: int, name: str, outcomes: Iterable[Literal["commit", "abort"]]
) -> list[str]:
    """Send Kafka transactions one after the other, each with a record in every partition.

    Returns:
        The tx_ids of all records.
    """
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, transactional_id=name)
    tx_ids = []
    await producer.start()
    try:
        for number, outcome in enumerate(outcomes):
            await producer.begin_transaction()
            for partition in range(settings.partitions):
                tx_id = f"{name}-{number}-{partition}"
                value = _encoded_transaction(now_ms, tx_id)
                await producer.send_and_wait(TRANSACTIONS, value, partition=partition, headers=SEGMENT)
                tx_ids.append(tx_id)
            await (producer.commit_transaction() if outcome == "commit" else producer.abort_transaction())
    finally:
        await producer.stop()
    return tx_ids


def check_unreadable_archived(run_dir: Path, unreadable_keys: list[str]) -> None:
    """Assert that records with unreadable headers are archived with everything that could be read."""
    columns = ["partition", "offset", "key", "tx_id", "headers", "error"]
    rows = read_log(run_dir, TRANSACTIONS, columns).to_pylist()
    archived = {row["key"]: row for row in rows if row["key"] in unreadable_keys}
    assert sorted(archived) == sorted(unreadable_keys)
    for row in archived.values():
        (header,) = row["headers"]
        assert header["name"] == UNREADABLE_HEADERS
        assert b"\xff\xfe" in header["value"]
        assert row["tx_id"] == row["key"]
        assert row["error"].startswith("headers: ")


def check_markers_passed(run_dir: Path) -> None:
    """Assert that transaction markers occupy offsets of the log, and nobody took them for lost records."""
    offsets = read_log(run_dir, TRANSACTIONS, ["partition", "offset"])
    counts = offsets.group_by("partition").aggregate([("offset", "max"), ([], "count_all")]).to_pylist()
    assert all(row["offset_max"] + 1 - row["count_all"] >= 4 for row in counts)
    assert missing_offsets(run_dir, TRANSACTIONS) == {}
    log = (run_dir / "logs" / "worker.log").read_text()
    assert '"gap"' not in log
    assert '"strayed"' not in log
