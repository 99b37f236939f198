"""The worker on Spark, beside the Faust worker: the same state in Redis, whatever is killed."""

import time
from collections import Counter

import msgspec
import pytest
from aiokafka import TopicPartition

from fraudsim.log.acceptance import UNIQUE_WITHIN
from fraudsim.log.consumer import read_to_end
from fraudsim.log.topics import DEAD_LETTERS, TRANSACTIONS
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.stack.stack import stack as start_stack
from stream_features.catalogue.features import WINDOWED
from stream_features.kernels import state as states
from stream_features.store.keys import fresh_key, watermark_key
from stream_features.store.prime import prime
from stream_features.store.watermark import decode_watermark, encode_watermark
from stream_features.worker.spark.connector import SPARK_VERSION
from testing.rigs import worker_lab
from testing.rigs.spark_cluster import spark_cluster
from testing.rigs.worker_lab import WorkerLab
from tests.stream_features.offline.spark_mark import needs_spark

pytestmark = [pytest.mark.stack, pytest.mark.long, needs_spark]
SPARK = ("--engine", "spark", "--trigger", "0.5s")
PATIENCE_S = 300.0
SESSION_MS = 6_000
"""A driver that starts a JVM on a busy machine may be silent for a second or two."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark_workers")
    with (
        pytest.MonkeyPatch.context() as patch,
        start_stack(folder / "stack", Settings(_env_file=None)) as addresses,
    ):
        patch.setattr(worker_lab, "WAIT_S", PATIENCE_S)  # a JVM, and a Python process for each core
        lab = WorkerLab(addresses, folder, SESSION_MS)
        yield lab
        lab.stop_workers()


@pytest.fixture(autouse=True)
def workers_stopped(lab):
    yield
    lab.stop_workers()


def send_all_kinds(lab, count):
    """Transactions, labels, duplicates near and far, and what becomes dead letters."""
    lab.send(count)
    again = lab._sent[-count // 2]
    for event in (again, again, lab._sent[-1]):
        lab._producer.send(
            TRANSACTIONS, key=event.card_id.encode(), value=worker_lab.encoder.encode(event),
            headers=[("segment", b"1")],
        )  # fmt: skip
    for value in (b"no event", b"", None):
        lab._producer.send(TRANSACTIONS, key=b"k", value=value, headers=[("segment", b"1")])
    lab._producer.send(TRANSACTIONS, key=b"k", value=worker_lab.encoder.encode(again))  # no segment
    lab._producer.send("labels", key=b"k", value=b"{", headers=[("segment", b"1")])
    lab.flush()


def canonical_state(lab):
    names = sorted(key.decode() for entity in WINDOWED for key in lab.redis.keys(f"*:{entity}:*"))
    return {
        name: states.canonical(name.split(":")[1], blob, lab.clock.horizon_ms)
        for name, blob in zip(names, lab.redis.mget(names), strict=True)
    }


def dead_letters(lab):
    """How often each dead letter was written."""
    records, _ = read_to_end(lab.settings.kafka_bootstrap, TopicPartition(DEAD_LETTERS, 0))
    return Counter(record.key for record in records), {record.key: record.value for record in records}


def prime_anew(lab):
    lab.stop_workers()
    prime(lab.settings, lab.clock.first, {}, "", force=True)


def test_the_same_log_folded_by_faust_and_by_spark_is_the_same_to_the_byte(lab):
    send_all_kinds(lab, 4_000)
    lab.start()
    lab.await_folded()
    by_faust, (_, letters_by_faust) = canonical_state(lab), dead_letters(lab)
    prime_anew(lab)
    assert canonical_state(lab) == {}
    lab.start(options=SPARK)
    lab.await_folded()
    assert canonical_state(lab) == by_faust
    counts, letters = dead_letters(lab)
    assert letters == letters_by_faust
    assert set(counts.values()) == {2}  # one by each engine
    send_all_kinds(lab, 500)
    lab.check_state()


def test_either_engine_goes_on_where_the_other_stopped(lab):
    for options in ((), SPARK, (), SPARK):
        lab.start(options=options)
        send_all_kinds(lab, 200)
        lab.check_state()
        lab.stop_workers()


def test_more_records_than_an_id_is_remembered_for(lab):
    lab.start(options=SPARK)
    lab.await_folded()
    sent = len(lab._sent)
    for _ in range(3):
        lab.send(4 * UNIQUE_WITHIN // 10)
        lab.await_folded()
    assert len(lab._sent) == sent + 3 * (4 * UNIQUE_WITHIN // 10)
    lab.check_state()


@pytest.mark.parametrize("when", ["before", "half", "after"])
def test_a_driver_killed_while_a_slot_is_written_leaves_it_done_or_undone(lab, when):
    worker = lab.start(options=SPARK)
    lab.await_folded()
    worker.gate.arm(when)
    send_all_kinds(lab, 600)
    assert worker.gate.reached.wait(PATIENCE_S)
    worker.kill()
    lab.send(100)
    lab.start(options=SPARK)
    lab.check_state()


def test_executors_killed_in_mid_batch_leave_the_state_right(lab, tmp_path):
    with spark_cluster(tmp_path) as cluster:
        worker = lab.start(options=(*SPARK, "--master", cluster.url))
        lab.await_folded()
        for when in ("before", "half", "after"):
            assert poll_until(lambda: len(cluster.executors()) == 2, PATIENCE_S)
            worker.gate.arm(when)
            send_all_kinds(lab, 400)
            assert worker.gate.reached.wait(PATIENCE_S)
            for executor in cluster.executors():  # one of them waits at the gate
                executor.kill()
            worker.gate.open()
            lab.check_state()
        assert worker.process.poll() is None
        lab.stop_workers()


def test_a_slot_lost_and_primed_again_is_waited_for(lab):
    worker = lab.start(options=SPARK)
    lab.await_folded()
    lab.redis.delete(watermark_key(2))
    lab.send(50)
    assert poll_until(lambda: worker.has_logged("slots_not_primed"), PATIENCE_S)
    assert '"slots": [2]' in worker.first_log_line("slots_not_primed")
    prime(lab.settings, lab.clock.first, {}, "", force=True)
    lab.check_state()
    assert worker.process.poll() is None


def test_the_heartbeat_of_an_idle_log_keeps_the_slots_fresh(lab):
    lab.start(options=SPARK)
    lab.await_folded()
    after_ms = time.time() * 1000 + 2_000

    def fresh():
        values = lab.redis.mget([fresh_key(slot) for slot in range(lab.settings.slots)])
        return all(float(value) > after_ms for value in values)

    assert poll_until(fresh, PATIENCE_S)


def last_line(worker):
    assert worker.process.wait(PATIENCE_S) == 2
    text = worker.output.read_text()
    assert "Traceback" not in text
    return [line for line in text.splitlines() if line.startswith("error:")][-1]


def contents(lab):
    """All that Redis and the dead letters hold."""
    return {key: lab.redis.get(key) for key in lab.redis.keys("*")}, lab.dead_letters()


@pytest.mark.parametrize(("first", "second"), [((), SPARK), (SPARK, ()), (SPARK, SPARK)])
def test_a_second_engine_on_one_log_is_refused_and_the_first_goes_on(lab, first, second):
    working = lab.start(options=first)
    lab.send(50)
    lab.await_folded()  # by the first, which has therefore joined
    line = last_line(lab.start(options=second))
    assert "another engine folds this log" in line
    assert "Nothing was written" in line
    lab.send(50)
    lab.check_state()
    assert working.process.poll() is None


def test_of_two_drivers_with_one_name_one_ends_and_the_other_goes_on(lab):
    workers = [lab.start(options=SPARK, name="one") for _ in range(2)]
    assert poll_until(lambda: any(w.process.poll() is not None for w in workers), PATIENCE_S)
    (going_on,) = [w for w in workers if w.process.poll() is None]
    (ended,) = [w for w in workers if w is not going_on]
    line = last_line(ended)
    assert "another worker on Spark with FRAUDSIM_WORKER_NAME=one folds this log" in line
    lab.send(50)
    lab.check_state()
    assert going_on.process.poll() is None


def test_a_slot_of_another_log_is_refused_and_nothing_is_written(lab):
    kept = lab.redis.get(watermark_key(5))
    other = msgspec.structs.replace(decode_watermark(kept), log_id="another")
    lab.redis.set(watermark_key(5), encode_watermark(other))
    lab.send(50)
    before = contents(lab)
    line = last_line(lab.start(options=SPARK))
    assert "slot 5 holds the state of log another" in line
    assert contents(lab) == before
    lab.redis.set(watermark_key(5), kept)
    lab.start(options=SPARK)
    lab.check_state()


def test_a_java_or_a_connector_that_will_not_do_is_said_and_nothing_is_written(lab, tmp_path, monkeypatch):
    lab.send(50)
    before = contents(lab)
    monkeypatch.setenv("FRAUDSIM_CACHE_DIR", str(tmp_path))
    jars = tmp_path / f"spark-kafka-{SPARK_VERSION}"
    jars.mkdir()
    assert "commons-pool2-2.13.1.jar is missing: delete the folder" in last_line(lab.start(options=SPARK))
    (jars / "commons-pool2-2.13.1.jar").write_bytes(b"another jar")
    assert "commons-pool2-2.13.1.jar has SHA-256" in last_line(lab.start(options=SPARK))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert f"JAVA_HOME={tmp_path} has no working java" in last_line(lab.start(options=SPARK))
    assert contents(lab) == before
