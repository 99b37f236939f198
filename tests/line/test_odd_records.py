"""What other producers may put into the log: headers that cannot be read, and offsets without a record."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer
from driving import run_line, state_equals_the_log, wait_until_seen
from kafka import KafkaProducer
from test_bad_input import ask, good_body

from fraudsim.archive import missing_offsets, read_log
from fraudsim.topics import DEAD_LETTERS, DECISIONS, TRANSACTIONS
from fraudsim.validity import UNREADABLE_HEADERS
from producers.kafka_io import find_present, partitions_of
from runner.line import LineOptions

pytestmark = pytest.mark.stack
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


def decided_ids(run):
    return read_log(run, DECISIONS, ["tx_id"])["tx_id"].to_pylist()


def test_what_cannot_be_read_is_set_aside_and_offsets_without_a_record_are_passed(
    tmp_path, prepared, line_settings
):
    found = {}

    def trouble(line, observer):
        wait_until_seen(line, observer, 100)
        found["good"], found["bad"] = send_unreadable_headers(line)
        seen = observer.tally.seen
        wait_until_seen(line, observer, seen + 50)
        there = find_present(line.settings, partitions_of(line.settings, [TRANSACTIONS]), "odd")
        found["present"] = there[TRANSACTIONS]
        sent = asyncio.run(send_in_transactions(line, "amid", ["commit", "abort", "commit"]))
        line.wait_for("the producer", lambda: line.done("producer"), 60)
        # The log ends with markers, for whoever reads on and for a scorer and a worker that start now.
        sent += asyncio.run(send_in_transactions(line, "last", ["commit", "commit"]))
        wait_until_seen(line, observer, line.planned() + len(found["good"]) + len(sent))
        line.supervisor.stop("scorer")
        line.supervisor.stop("worker")
        line.start_part("worker", "worker")
        line.start_part("scorer", "scorer")
        line.wait_for("the scorer to be ready", line._scorer_ready)
        line.wait_for("the feature worker to fold", line._worker_folds)
        assert ask(line, {"tx_id": "http", "card_id": "c-http", "amount_cents": 1})[0] == 200
        found["sent"] = sent

    options = LineOptions(tmp_path / "run", seconds=10, rate=100, cards=800, reuse=prepared)
    summary = run_line(options, line_settings, trouble, state_equals_the_log)
    run = tmp_path / "run"
    good, bad = found["good"], found["bad"]
    # What came from no source of the line's own counts as sent where it bears an ordinal.
    assert summary["decided"] == summary["sent"] + len(good)
    assert (summary["duplicated"], summary["restarts"]) == (0, {})
    assert summary["parity"]["mismatches"] == 0
    assert summary["dead_lettered"] == len(bad)
    decided = read_log(run, DECISIONS, ["tx_id"])["tx_id"].to_pylist()
    assert len(decided) == len(set(decided)) == summary["parity"]["vectors"]
    assert set(good) | set(found["sent"]) <= set(decided)
    assert not set(decided) & set(bad)
    assert len(found["present"]) == len(good)
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
    letters = read_log(run, DEAD_LETTERS).to_pylist()
    assert {letter["field"] for letter in letters} == {"headers"}
    assert sorted(letter["key"] for letter in letters) == sorted(
        f"{TRANSACTIONS}/{row['partition']}/{row['offset']}" for row in kept.values()
    )
    markers = missing_offsets(run, TRANSACTIONS)
    assert all(len(gaps) >= 4 for gaps in markers.values())
    log = (run / "logs" / "worker.log").read_text()
    assert '"gap"' not in log
    assert '"strayed"' not in log
