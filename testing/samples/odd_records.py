"""What other producers may put into the log: headers that cannot be read, and offsets without a record."""

import json

from aiokafka import AIOKafkaProducer
from kafka import KafkaProducer

from fraudsim.archive.completeness import missing_offsets
from fraudsim.archive.log_files import read_log
from fraudsim.log.headers import UNREADABLE_HEADERS
from fraudsim.log.topics import TRANSACTIONS
from testing.rigs.live_line import ask, good_body

SEGMENT = [("segment", b"1")]


class RawName(str):
    """A header's name that goes out as bytes which are not UTF-8."""

    __slots__ = ()

    def encode(self, *_args, **_kwargs):
        return b"\xff\xfe"


def transaction(now_ms, tx_id):
    return json.dumps(good_body(now_ms, tx_id=tx_id, card_id=f"card-{tx_id}")).encode()


def now_of(line):
    return ask(line, None, "/v1/clock")[1]["now_ms"]


def send_unreadable_headers(line, stretches=3):
    """Records with unreadable headers, each between good ones in one batch, in every partition.

    Returns the tx_ids of the good ones, and the keys of the others.
    """
    producer = KafkaProducer(bootstrap_servers=line.settings.kafka_bootstrap, acks="all", linger_ms=50)
    now_ms, good, bad = now_of(line), [], []
    for stretch in range(stretches):
        for partition in range(line.settings.partitions):
            for n in range(5):
                tx_id = f"odd-{stretch}-{partition}-{n}"
                its_own = [("source", b"odd"), ("ordinal", str(len(good)).encode())]
                if n in (1, 2):
                    bad.append(tx_id)
                    headers = [*SEGMENT, (RawName("x"), b"1"), *its_own]
                else:
                    good.append(tx_id)
                    headers = [*SEGMENT, *its_own]
                producer.send(
                    TRANSACTIONS, transaction(now_ms, tx_id), tx_id.encode(), headers, partition=partition
                )
        producer.flush()
    producer.close()
    return good, bad


async def send_in_transactions(line, name, outcomes):
    """One transaction after the other, each with a record in every partition; the tx_ids of all."""
    producer = AIOKafkaProducer(bootstrap_servers=line.settings.kafka_bootstrap, transactional_id=name)
    now_ms, sent = now_of(line), []
    await producer.start()
    try:
        for number, outcome in enumerate(outcomes):
            await producer.begin_transaction()
            for partition in range(line.settings.partitions):
                tx_id = f"{name}-{number}-{partition}"
                await producer.send_and_wait(
                    TRANSACTIONS, transaction(now_ms, tx_id), partition=partition, headers=SEGMENT
                )
                sent.append(tx_id)
            await (producer.commit_transaction() if outcome == "commit" else producer.abort_transaction())
    finally:
        await producer.stop()
    return sent


def check_kept(run, bad):
    """What had unreadable headers is in the archive with all that could be read."""
    columns = ["partition", "offset", "key", "tx_id", "headers", "error"]
    rows = read_log(run, TRANSACTIONS, columns).to_pylist()
    kept = {row["key"]: row for row in rows if row["key"] in bad}
    assert sorted(kept) == sorted(bad)
    for row in kept.values():
        (header,) = row["headers"]
        assert header["name"] == UNREADABLE_HEADERS
        assert b"\xff\xfe" in header["value"]
        assert row["tx_id"] == row["key"]
        assert row["error"].startswith("headers: ")


def check_markers_were_passed(run):
    markers = missing_offsets(run, TRANSACTIONS)
    assert all(len(gaps) >= 4 for gaps in markers.values())
    log = (run / "logs" / "worker.log").read_text()
    assert '"gap"' not in log
    assert '"strayed"' not in log
