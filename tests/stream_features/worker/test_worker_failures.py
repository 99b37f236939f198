"""Workers that die, hang, lose slots, or find Redis or Kafka changed: the state stays that of the log.

So it does with labels that come late.
"""

import signal
import threading
import time

import msgspec
import numpy as np
import pytest
from kafka import KafkaAdminClient, TopicPartition
from redis.exceptions import RedisError

from fraudsim.archive.log_files import log_files, read_ranges
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Label, Transaction
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from runner.record.archiver import run_archiver
from runner.stack.stack import stack as start_stack
from stream_features.catalogue.features import DAY, NAMES
from stream_features.offline.oracle import oracle
from stream_features.store.keys import watermark_key
from stream_features.store.prime import prime
from stream_features.store.rebuild import rebuild
from stream_features.store.watermark import encode_watermark
from testing.rigs.worker_lab import WAIT_S, WorkerLab

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    with start_stack(folder / "stack", Settings(_env_file=None)) as addresses:
        lab = WorkerLab(addresses, folder)
        yield lab
        lab.stop_workers()


@pytest.fixture(scope="module")
def archive(lab):
    """All that the log holds by now."""
    run_dir, stop = lab.folder / "run", threading.Event()

    def archive():
        stop.set()
        run_archiver(lab.settings, run_dir, stop, drain=True)
        return run_dir

    return archive


@pytest.mark.parametrize("when", ["before", "half", "after"])
def test_a_worker_killed_at_its_write_leaves_it_done_or_undone(lab, when):
    worker = lab.single_worker()
    lab.send(200)
    lab.await_folded()
    worker.gate.arm(when)
    lab.send(400)
    assert worker.gate.reached.wait(WAIT_S)
    worker.kill()
    lab.send(100)
    lab.single_worker()
    lab.check_state()


def test_a_late_label_one_of_another_source_and_a_reversal_each_change_merchant_risk(lab):
    """As brute force has it, by the real worker; none is a dead letter."""
    lab.single_worker()
    rates = [NAMES.index(f"merchant_fraud_{window}") for window in ("7d", "30d")]
    now_ms = int(time.time() * 1000)
    events = [
        Transaction(tx_id=f"shop{n}", ts=now_ms, card_id=f"shopper{n}", merchant_id="shop", amount_cents=100)
        for n in range(3)
    ]
    for tx in events:
        lab.append(tx)
    labels: list[Label] = []
    risks = []
    # The transaction is 90 days old; a customer reports it, an analyst clears it, the bank charges it back.
    for source, is_fraud in ((None, None), ("customer", True), ("analyst", False), ("chargeback", True)):
        known_at = int(time.time() * 1000)
        if source:
            labels.append(
                Label(
                    tx_id="old", card_id="shopper0", merchant_id="shop", ts=known_at - 90 * DAY,
                    amount_cents=100, is_fraud=is_fraud, source=source, known_at=known_at,
                )
            )  # fmt: skip
            lab.append(labels[-1])
        lab.flush()
        lab.await_folded()
        at_hand = Transaction(
            tx_id="next", ts=known_at + 1_000, card_id="shopper0", merchant_id="shop", amount_cents=100
        )
        got = lab.features_of(at_hand)[rates]
        wanted = oracle(at_hand, {"merchant": events}, labels, lab.clock.horizon_ms)
        assert got.tolist() == [np.float32(wanted[rate]) for rate in rates]
        risks.append(got[0])
    assert risks[0] == risks[2] < risks[1] == risks[3]
    assert lab.dead_letters() == 0


def test_a_redis_that_refuses_to_write_is_asked_again(lab):
    worker = lab.single_worker()
    lab.send(200)
    lab.await_folded()
    lab.redis.config_set("maxmemory", 1)
    try:
        lab.send(300)
        assert poll_until(lambda: worker.has_logged("redis_full"), WAIT_S)
        with pytest.raises(RedisError):
            lab.redis.set("refused", 1)
    finally:
        lab.redis.config_set("maxmemory", 0)
    lab.check_state()
    assert worker.process.poll() is None
    assert not worker.has_logged("redis_away")


def test_a_redis_that_evicts_is_refused_by_whoever_writes_state(lab, archive):
    lab.single_worker().kill()
    run_dir = archive()
    lab.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        before = set(lab.temporary.iterdir())
        worker = lab.single_worker()
        assert worker.process.wait(WAIT_S) == 2
        assert set(lab.temporary.iterdir()) == before
        assert worker.has_logged("error: the Redis of FRAUDSIM_REDIS_URL has maxmemory-policy allkeys-lru")
        assert not worker.has_logged("Traceback")
        for write in (
            lambda: prime(lab.settings, lab.clock.first, {}, ""),
            lambda: rebuild(lab.settings, run_dir),
        ):
            with pytest.raises(FraudsimError, match="maxmemory-policy allkeys-lru, so it may drop state"):
                write()
    finally:
        lab.redis.config_set("maxmemory-policy", "noeviction")
    lab.single_worker()
    lab.check_state()


def test_a_redis_that_lost_its_last_seconds_is_brought_up_to_date(lab):
    lab.single_worker()
    lab.send(300)
    lab.await_folded()
    before = {key: lab.redis.get(key) for key in lab.redis.keys("{s*")}
    lab.send(300)
    lab.await_folded()
    pipe = lab.redis.pipeline(transaction=True)
    pipe.flushall()
    pipe.mset(before)
    pipe.execute()
    lab.send(100)
    lab.check_state()


def test_slots_that_move_while_the_log_grows_are_folded_once(lab):
    first = lab.single_worker()
    lab.send(300)
    lab.await_folded()
    before = set(lab.temporary.iterdir())
    assert before
    assert not any(str(first.process.pid) in folder.name for folder in before)
    second = lab.start()
    for _ in range(20):
        lab.send(50)
    assert poll_until(lambda: second.has_logged("place_taken"), WAIT_S)
    lab.check_state()
    lab.send(300)
    second.signal(signal.SIGTERM)
    lab.send(300)
    assert second.process.wait(WAIT_S) == 0
    assert set(lab.temporary.iterdir()) == before  # Faust's folder is gone
    lab.send(100)
    lab.check_state()
    assert first.process.poll() is None


def test_a_zombie_s_late_write_is_refused(lab):
    zombie = lab.single_worker()
    lab.send(200)
    lab.await_folded()
    zombie.gate.arm("before")
    lab.send(300)
    assert zombie.gate.reached.wait(WAIT_S)
    zombie.signal(signal.SIGSTOP)
    lab.start()
    lab.send(200)
    lab.await_folded()
    zombie.gate.open()
    zombie.signal(signal.SIGCONT)
    assert poll_until(lambda: zombie.has_logged("fenced"), WAIT_S)
    lab.send(200)
    lab.check_state()


@pytest.mark.parametrize(
    "when",
    [pytest.param("before", marks=pytest.mark.long), "half", pytest.param("after", marks=pytest.mark.long)],
)
def test_a_slot_far_behind_is_caught_up_while_the_others_go_on(lab, when):
    lab.single_worker()
    lab.send(100)
    lab.await_folded()
    old = {key: lab.redis.get(key) for key in lab.redis.keys("{s3}:*")}
    lab.send(1_500)
    lab.await_folded()
    lab.stop_workers()
    lab.redis.delete(*lab.redis.keys("{s3}:*"))
    lab.redis.mset(old)
    first = lab.start(stop_at=when, slot=3)
    lab.send(300)
    assert first.gate.reached.wait(WAIT_S)
    first.kill()
    second = lab.start()
    for _ in range(20):
        lab.send(20)
    lab.check_state()
    assert '"slots": [0, 1, 2, 4, 5, 6, 7]' in first.first_log_line("place_taken")
    assert '"slots": [3]' in first.first_log_line("catching_up")
    assert second.has_logged("caught_up") or when == "after"  # by then the first may have written all of it


def test_a_watermark_ahead_of_the_log_ends_the_worker_and_a_rebuild_mends_it(lab, archive):
    lab.single_worker().kill()
    lab.send(300)
    slot = lab.watermarks()[3]
    ahead = msgspec.structs.replace(slot, offsets=tuple(offset + 10_000 for offset in slot.offsets))
    lab.redis.set(watermark_key(3), encode_watermark(ahead))
    worker = lab.single_worker()
    assert worker.process.wait(WAIT_S) == 2
    assert worker.has_logged("slot 3 has folded offset ")
    assert worker.has_logged("run `fraudsim features rebuild --run FOLDER`")
    done = rebuild(lab.settings, archive(), slots=[3])
    assert (done.slots, done.ends) == (1, lab.ends())
    lab.send(100)
    lab.single_worker()
    lab.check_state()


def test_a_rebuild_stops_at_a_hole_of_the_archive_and_the_log_has_the_rest(lab, archive):
    lab.single_worker()
    archive()
    for _ in range(2):
        lab.send(150)
        run_dir = archive()
    lost = log_files(run_dir, TRANSACTIONS)[-2]
    (first, _), *_ = read_ranges(lost)[0]
    lost.rename(lost.with_name("lost"))
    lab.single_worker().kill()
    lab.redis.flushall()
    done = rebuild(lab.settings, run_dir)
    lost.with_name("lost").rename(lost)
    assert done.ends[0] == first - 1
    assert f"transactions partition 0 after {first - 1}" in done.holes
    lab.single_worker()
    lab.check_state()


def test_state_lost_with_the_start_of_the_log_is_rebuilt_from_the_archive(lab, archive):
    lab.single_worker().kill()
    run_dir = archive()
    lab.send(200)
    admin = KafkaAdminClient(bootstrap_servers=[lab.settings.kafka_bootstrap])
    ends = rebuild(lab.settings, run_dir).ends
    partitions = [(topic, p) for topic in (TRANSACTIONS, LABELS) for p in range(lab.settings.partitions)]
    keep_from = {TopicPartition(*tp): end + 1 for tp, end in zip(partitions, ends, strict=True)}
    lab.send(100)
    admin.delete_records(keep_from)
    slot = lab.watermarks()[0]
    behind = msgspec.structs.replace(slot, offsets=tuple(offset - 5 for offset in slot.offsets))
    lab.redis.set(watermark_key(0), encode_watermark(behind))
    worker = lab.single_worker()
    assert worker.process.wait(WAIT_S) == 2
    assert worker.has_logged("the log starts at ")
    lab.redis.flushall()
    rebuild(lab.settings, run_dir)
    lab.single_worker()
    lab.check_state()
    admin.delete_records({tp: offset + 1 for tp, offset in keep_from.items()})
    admin.close()
    with pytest.raises(FraudsimError, match=r"the archive of transactions partition 0 ends at offset \d+, "):
        rebuild(lab.settings, run_dir)
