"""A source sent by several processes: each record by one of them, a card's in order, whatever is killed."""

import json
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log import headers as h
from fraudsim.log.clock_log import open_clock
from fraudsim.log.events import decode_transaction
from fraudsim.log.topics import CLOCK, TRANSACTIONS
from fraudsim.polling import poll_until
from fraudsim.settings import Settings
from producers.sender.schedule import intended_us
from producers.sender.send_plan import SendReport
from producers.sender.sender import TOPICS
from producers.sender.shard import Shard, check_shard_count, shard_name, split_name
from producers.sender.shard_coordinator import merge_reports
from producers.sender.shard_messages import ShardingPlan
from producers.sources.source import Item
from tests.producers.sender.test_sender import (
    START_MS,
    EvenSource,
    SenderProcess,
    planned,
    prefix,
    read_topic,
    send_here,
    settings,
)

__all__ = ["prefix", "settings"]
SHARDS = 2


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_every_record_falls_to_one_shard_and_a_card_s_to_the_same(shards: int) -> None:
    source = EvenSource(count=300)
    shares = [list(Shard(source, number, shards).items()) for number in range(shards)]
    assert sorted(item for share in shares for item in map(_name, share)) == sorted(
        map(_name, source.items())
    )
    cards = [{item.key for item in share} for share in shares]
    assert sum(map(len, cards)) == len(set().union(*cards)) == 97
    assert all(share == [item for item in source.items() if item in share] for share in shares)


def _name(item: Item) -> tuple[str, str, int]:
    return item.topic, item.key, item.due_ms


def test_another_number_of_shards_is_refused_other_sources_are_not() -> None:
    assert split_name(shard_name("world", 3, 8)) == ("world", 8)
    for logged_source in (None, b"", b"other#0/3", b"even#1/2", b"even#0/2", b"even-more", b"\xff#1/9"):
        check_shard_count(logged_source, b"even#0/2")
    with pytest.raises(FraudsimError, match=r"--shards 2: .* even .* sent with --shards 3: go on with"):
        check_shard_count(b"even#2/3", b"even#0/2")
    with pytest.raises(FraudsimError, match=r"--shards 1: .* --shards 2"):
        check_shard_count(b"even#0/2", b"even")
    with pytest.raises(FraudsimError, match=r"--shards 2: .* --shards 1"):
        check_shard_count(b"even", b"even#0/2")


def report(**fields: Any) -> SendReport:
    defaults: dict[str, Any] = {
        "source": "s", "speed": 1.0, "seconds": None, "starts": 1, "complete": True, "records": {},
        "transactions_timed": 0, "late": 0, "delay_p50_ms": None, "delay_p99_ms": None,
        "delay_us_counts": {}, "segments": [],
    }  # fmt: skip
    return SendReport(**{**defaults, **fields})


def test_the_reports_of_shards_add_up() -> None:
    plan = ShardingPlan(lambda _: EvenSource(), Settings(_env_file=None), 2, 1.0, None, "")
    both = [
        report(records={"a": 3}, delay_us_counts={10: 2, 40_000: 1}, behind_s=2.0),
        report(records={"a": 1, "b": 1}, delay_us_counts={10: 1}, behind_s=1.0),
    ]
    done = merge_reports("s", plan, both, [], report(starts=3, delay_us_counts={10: 5}, behind_s=0.5))
    assert (done.source, done.starts, done.complete) == ("s", 4, True)
    assert done.records == {"a": 4, "b": 1}
    assert (done.transactions_timed, done.late, done.behind_s) == (9, 1, 2.5)
    assert not merge_reports("s", plan, both[:1], [], None).complete


def shards_of(process: SenderProcess) -> list[psutil.Process]:
    """The shards' processes, the first one first."""
    try:
        children = psutil.Process(process.process.pid).children()
    except psutil.Error:
        return []
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.fixture
def processes() -> Iterator[list[SenderProcess]]:
    started: list[SenderProcess] = []
    yield started
    for sender in started:
        sender.process.kill()
        sender.process.wait()


@pytest.mark.stack
def test_two_shards_live_and_killed_lose_nothing_and_repeat_nothing(
    settings: Settings, prefix: str, tmp_path: Path, processes: list[SenderProcess]
) -> None:
    path = tmp_path / "report.json"
    seconds = 6.0  # the second start must not be done when it is killed

    def start() -> SenderProcess:
        processes.append(SenderProcess(settings, prefix, seconds, path, SHARDS))
        return processes[-1]

    first = start()
    assert poll_until(lambda: first.sent_here() > 50, 30)
    shards = shards_of(first)
    assert len(shards) == SHARDS
    shards[0].kill()
    assert first.finish() == 1  # one dies, all end: the supervisor starts them again
    assert not any(shard.is_running() for shard in shards)

    second = start()
    assert poll_until(lambda: second.sent_here() > 50, 30)
    orphans = shards_of(second)
    second.process.send_signal(signal.SIGKILL)
    second.process.wait()
    assert poll_until(lambda: not any(orphan.is_running() for orphan in orphans), 5)

    for source in (EvenSource(), Shard(EvenSource(), 0, 3)):
        with pytest.raises(FraudsimError, match="that were sent with --shards 2"):
            send_here(settings, prefix, source)

    third = start()
    assert third.finish() == 0
    expected = planned(EvenSource(), seconds)
    last: dict[str, Any] = json.loads(path.read_text())
    assert last["complete"]
    assert (last["source"], last["records"]) == ("even", dict(expected))
    clock = open_clock(settings, topic=prefix + CLOCK).clock
    assert len(clock.segments) == 4  # standing still, and one a start, whatever the number of shards
    segments = {segment.number: segment for segment in clock.segments}
    for topic in TOPICS:
        ordinals: dict[str, list[int]] = defaultdict(list)
        for records in read_topic(settings, prefix + topic).values():
            for record in records:
                source_name, ordinal = (
                    h.header(record.headers, h.SOURCE),
                    h.int_header(record.headers, h.ORDINAL),
                )
                assert source_name is not None
                assert ordinal is not None
                ordinals[source_name.decode()].append(ordinal)
        assert ordinals.keys() == {shard_name("even", number, SHARDS) for number in range(SHARDS)}
        assert sum(map(len, ordinals.values())) == expected[topic]
        for sequence in ordinals.values():
            assert sorted(sequence) == list(range(len(sequence)))
    by_card: dict[str, list[int]] = defaultdict(list)
    for records in read_topic(settings, prefix + TRANSACTIONS).values():
        for record in records:
            event = decode_transaction(record.value)
            by_card[event.card_id].append(event.ts)
            number = h.int_header(record.headers, h.SEGMENT)
            assert number is not None
            assert event.sent_at == intended_us(segments[number], event.ts)
            assert START_MS <= event.ts < START_MS + seconds * 10_000
    assert all(times == sorted(times) for times in by_card.values())


@pytest.mark.stack
def test_shards_that_are_stopped_end_well(
    settings: Settings, prefix: str, tmp_path: Path, processes: list[SenderProcess]
) -> None:
    path = tmp_path / "report.json"
    settings = settings.model_copy(update={"sender": "confluent"})
    first = SenderProcess(settings, prefix, 20.0, path, SHARDS)
    processes.append(first)
    assert poll_until(lambda: first.sent_here() > 0, 30)
    for process in (first.process, *shards_of(first)):  # as the supervisor does: the whole group
        process.send_signal(signal.SIGTERM)
    assert first.finish() == 0
    stopped: dict[str, Any] = json.loads(path.read_text())
    assert not stopped["complete"]
    by_partition = read_topic(settings, prefix + TRANSACTIONS)
    assert stopped["records"][TRANSACTIONS] == sum(map(len, by_partition.values()))
