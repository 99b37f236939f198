"""Spark's tasks on the real Kafka and Redis, run here by hand: no JVM is needed for what they do."""

import time

import msgspec
import pytest

from fraudsim.settings import Settings
from runner.stack.stack import stack as start_stack
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.watermark import decode_watermark, encode_watermark
from stream_features.worker.spark import slot_fold
from stream_features.worker.spark.batch_plan import BatchPlan
from stream_features.worker.spark.executor_process import ExecutorProcess
from stream_features.worker.spark.slot_fold import decode_outcome
from testing.rigs.worker_lab import WorkerLab

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark_tasks")
    with start_stack(folder / "stack", Settings(_env_file=None)) as addresses:
        yield WorkerLab(addresses, folder)


@pytest.fixture
def new_process(lab):
    """Makes an executor's Python process; each has memories of its own."""
    processes = []

    def make():
        processes.append(ExecutorProcess(lab.settings))
        return processes[-1]

    yield make
    for process in processes:
        process.loop.run_until_complete(process.close())
        process.loop.close()


class Batches:
    """Runs batches of a log as the driver does, in any process."""

    def __init__(self, lab):
        self.lab = lab
        self.starts = [offset + 1 for offset in map(min, zip(*self.offsets(), strict=True))]

    def offsets(self):
        return [watermark.offsets for watermark in self.lab.watermarks()]

    def plan(self, ends, starts=None, fresh_at_ms=None):
        n, slots = self.lab.settings.partitions, self.lab.settings.slots
        homes = [self.offsets()[source % n % slots][source] for source in range(2 * n)]
        return BatchPlan(
            self.lab.settings, self.lab.clock.first, starts or self.starts, ends, [0] * (2 * n), homes,
            fresh_at_ms,
        )  # fmt: skip

    @staticmethod
    def packets_of(plan, processes):
        packets = []
        for partition in range(plan.settings.partitions):
            process = processes[partition % len(processes)]
            packets += process.loop.run_until_complete(process.accept(plan, partition))
        return packets

    def run(self, ends, processes, starts=None, fresh_at_ms=None, slots=None):
        """One batch; returns the outcomes."""
        plan = self.plan(ends, starts, fresh_at_ms)
        packets = self.packets_of(plan, processes)
        outcomes = []
        for number, process in enumerate(processes):
            mine = [s for s in range(plan.settings.slots) if s % len(processes) == number]
            mine = [s for s in mine if slots is None or s in slots]
            given = [(slot, packet) for slot, packet in packets if slot in mine]
            given += [(slot, b"") for slot in mine if slot not in {s for s, _ in given}]
            outcomes += process.loop.run_until_complete(process.fold(plan, given))
        if starts is None and slots is None:
            self.starts = ends
        return [decode_outcome(outcome) for outcome in outcomes]


def kinds(outcomes):
    return {outcome.kind for outcome in outcomes}


def next_ends(lab):
    return [end + 1 for end in lab.ends()]


def contents(lab):
    return {key: lab.redis.get(key) for key in lab.redis.keys("{s*}:*")}


def test_batches_shared_by_processes_that_come_and_go_fold_the_log(lab, new_process):
    batches, processes = Batches(lab), [new_process(), new_process()]
    for number in range(4):
        lab.send(120)
        lab.append(lab._sent[-1])  # a duplicate
        lab._sent.pop()
        lab._producer.send("transactions", value=b"no event", key=b"x")
        lab.flush()
        processes.reverse()
        if number == 2:
            processes[0] = new_process()
        outcomes = batches.run(next_ends(lab), processes)
        assert kinds(outcomes) == {"folded"}
        n = lab.settings.partitions
        counts = [c for outcome in outcomes for source, c in outcome.counts.items() if source < n]
        assert sum(count.duplicates for count in counts) == 1
        assert sum(count.accepted for count in counts) == 120
        assert [c.dead_letters for c in counts if c.dead_letters] == [{"value": 1}]
        assert lab.dead_letters() == number + 1
    lab.check_state()


def test_a_batch_run_twice_changes_nothing(lab, new_process):
    batches, processes = Batches(lab), [new_process(), new_process()]
    lab.send(200)
    starts, ends = batches.starts, next_ends(lab)
    plan = batches.plan(ends)
    packets = batches.packets_of(plan, processes)
    assert kinds(batches.run(ends, processes, starts, fresh_at_ms=7)) == {"folded"}
    after, letters = contents(lab), lab.dead_letters()
    for process in [*processes, new_process()]:
        outcomes = process.loop.run_until_complete(process.fold(plan, packets))
        assert kinds(map(decode_outcome, outcomes)) == {"folded"}
        assert kinds(batches.run(ends, [process], starts, fresh_at_ms=7)) == {"folded"}
    assert contents(lab) == after
    assert lab.dead_letters() == letters
    lab.check_state()


def test_a_batch_that_half_of_the_slots_have_goes_into_the_others(lab, new_process):
    batches = Batches(lab)
    lab.send(200)
    starts, ends = batches.starts, next_ends(lab)
    batches.run(ends, [new_process()], starts, slots=range(4))
    assert kinds(batches.run(ends, [new_process()], starts)) == {"folded"}
    lab.check_state()


def test_a_slot_behind_the_batch_is_not_folded(lab, new_process):
    batches = Batches(lab)
    lab.send(40)
    ends = next_ends(lab)
    starts = [start + 1 for start in batches.starts]
    before = contents(lab)
    outcomes = batches.run(ends, [new_process()], starts)
    assert kinds(outcomes) == {"behind"}
    assert f"the batch begins at {starts[0]}" in outcomes[0].detail
    assert contents(lab) == before
    batches.run(ends, [new_process()])
    lab.check_state()


def test_a_slot_not_primed_or_of_another_log_is_said_and_nothing_is_written(lab, new_process):
    batches = Batches(lab)
    lab.send(40)
    ends, process = next_ends(lab), new_process()
    plan = batches.plan(ends)
    packets = [(slot, packet) for slot, packet in batches.packets_of(plan, [process]) if slot in (3, 5)]
    kept = lab.redis.get(watermark_key(3)), lab.redis.get(watermark_key(5))
    other = msgspec.structs.replace(decode_watermark(kept[1]), log_id="another")
    lab.redis.delete(watermark_key(3))
    lab.redis.set(watermark_key(5), encode_watermark(other))
    before = contents(lab)
    folded = process.loop.run_until_complete(process.fold(plan, packets))
    outcomes = {outcome.slot: outcome for outcome in map(decode_outcome, folded)}
    assert outcomes[3].kind == "not_primed"
    assert outcomes[5].kind == "refused"
    assert "slot 5 holds the state of log another" in outcomes[5].detail
    assert contents(lab) == before
    lab.redis.set(watermark_key(3), kept[0])
    lab.redis.set(watermark_key(5), kept[1])
    batches.run(ends, [new_process()])
    lab.check_state()


def test_a_zombie_whose_slot_moved_on_writes_nothing(lab, new_process, monkeypatch):
    """Another writer comes between a task's look at the watermark and its write."""
    batches, process = Batches(lab), new_process()
    lab.send(40)
    ends = next_ends(lab)
    packets = batches.packets_of(batches.plan(ends), [process])
    slot_packets = [(slot, packet) for slot, packet in packets if slot == 2]
    read = process._store.read

    def read_and_lose(keys, *args):
        if keys[0] != watermark_key(2):  # the states are read after the watermark
            moved = msgspec.structs.replace(
                decode_watermark(lab.redis.get(watermark_key(2))), generation="new"
            )
            lab.redis.set(watermark_key(2), encode_watermark(moved))
        return read(keys, *args)

    monkeypatch.setattr(process._store, "read", read_and_lose)
    kept = lab.redis.get(watermark_key(2))
    (outcome,) = process.loop.run_until_complete(process.fold(batches.plan(ends), slot_packets))
    assert decode_outcome(outcome).kind == "fenced"
    lab.redis.set(watermark_key(2), kept)
    batches.run(ends, [new_process()])
    lab.check_state()


def test_a_slots_part_of_more_keys_than_one_call_takes_is_written_in_several(lab, new_process, monkeypatch):
    monkeypatch.setattr(slot_fold, "MAX_BLOBS_PER_CALL", 5)
    batches, process = Batches(lab), new_process()
    sizes, write = [], process._store.write

    async def counted(writes, fresh_at_ms=None):
        sizes.append(len(writes[0].blobs))
        return await write(writes, fresh_at_ms)

    monkeypatch.setattr(process._store, "write", counted)
    lab.send(300)
    now_ms = int(time.time() * 1000)
    assert kinds(batches.run(next_ends(lab), [process], fresh_at_ms=now_ms)) == {"folded"}
    assert len(sizes) > 8
    assert max(sizes) <= 5 + 4
    assert int(lab.redis.get(fresh_key(0))) == now_ms
    lab.check_state()


def test_an_unreadable_state_is_counted_and_kept(lab, new_process):
    batches = Batches(lab)
    lab.send(5)
    batches.run(next_ends(lab), [new_process()])
    name = next(key for key in lab.redis.keys("*:card:*"))
    kept = lab.redis.get(name)
    slot, card = int(name.decode()[2 : name.index(b"}")]), name.decode().rpartition(":")[2]
    assert blob_key(slot, "card", card) == name.decode()
    lab.redis.set(name, b"broken")
    tx = msgspec.structs.replace(lab._sent[-1], tx_id="on-top-of-broken", card_id=card)
    lab.append(tx)
    lab.flush()
    outcomes = batches.run(next_ends(lab), [new_process()])
    assert sum(outcome.unreadable for outcome in outcomes) == 1
    assert lab.redis.get(name) == b"broken"
    lab.redis.set(name, kept)
