"""The ordinals that a killed sender left out are read_ordinals, in whatever order acknowledgements came."""

import asyncio
import random
from collections.abc import Iterable, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.sender.ordinals import LoggedOrdinals, OffsetRange, logged_ordinals, ordinal_of, read_back

Log = dict[int, list[int | None]]
"""Per partition the ordinals in the order of the log; None is a record of another source."""


def read(log: Log) -> tuple[set[int], int]:
    """What `read_back` finds, and how many records it read."""
    reads = 0

    async def ordinals(ranges: Mapping[int, OffsetRange]) -> Mapping[int, Iterable[int]]:
        nonlocal reads
        reads += sum(end - first for first, end in ranges.values())
        return {p: [o for o in log[p][first:end] if o is not None] for p, (first, end) in ranges.items()}

    ends = {p: (0, len(partition_log)) for p, partition_log in log.items()}
    read_ordinals = asyncio.run(read_back(ends, ordinals, BOUND, first_step=4))
    return read_ordinals, reads


BOUND = 20


def test_records_of_others_have_no_ordinal_of_ours() -> None:
    ours = [("segment", b"1"), ("ordinal", b"17"), ("source", b"me")]
    assert ordinal_of(ours, b"me") == 17
    assert ordinal_of(ours, b"you") is None
    assert ordinal_of([], b"me") is None
    assert ordinal_of([("source", b"me"), ("ordinal", b"-1")], b"me") is None
    assert ordinal_of([("source", b"me"), ("ordinal", b"\xff")], b"me") is None


def test_an_empty_log_holds_nothing() -> None:
    assert logged_ordinals([]) == LoggedOrdinals()
    assert 0 not in LoggedOrdinals()
    assert len(LoggedOrdinals()) == 0


def test_a_later_ordinal_in_another_partition_does_not_hide_a_missing_one() -> None:
    logged = logged_ordinals(read({0: [0, 2, 4], 1: [1, 3, 5, 9]})[0], BOUND)
    assert logged == LoggedOrdinals(9, frozenset({6, 7, 8}))
    assert [o for o in range(12) if o not in logged] == [6, 7, 8, 10, 11]
    assert len(logged) == 7


def test_only_the_end_of_a_long_log_is_read() -> None:
    log: Log = {p: list(range(p, 100_000, 4)) for p in range(4)}
    read_ordinals, reads = read(log)
    assert logged_ordinals(read_ordinals, BOUND) == LoggedOrdinals(99_999)
    assert reads < 500


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 5))
def test_after_any_kills_every_ordinal_is_in_the_log_exactly_once(
    seed: int, partitions: int, kills: int
) -> None:
    chance = random.Random(seed)
    log: Log = {p: [] for p in range(partitions)}
    home = [chance.randrange(partitions) for _ in range(400)]
    for start in range(kills + 1):
        logged = logged_ordinals(read(log)[0], BOUND)
        todo = [o for o in range(len(home)) if o not in logged]
        has_gaps = bool(logged.missing)
        handed_over = 0
        waiting: list[tuple[int, int]] = []  # (position in the order of handing over, ordinal)
        steps = None if start == kills else chance.randrange(250)
        while (todo or waiting) and steps != 0:
            steps = None if steps is None else steps - 1
            barrier = bool(todo) and has_gaps and todo[0] > logged.maximum and bool(waiting)
            room = not waiting or handed_over - waiting[0][0] < BOUND
            if todo and room and not barrier and chance.random() < 0.6:
                has_gaps = has_gaps and todo[0] < logged.maximum
                waiting.append((handed_over, todo.pop(0)))
                handed_over += 1
            elif waiting:  # one reaches the log, now and then before an older one of its partition
                _, ordinal = waiting.pop(chance.choice([0, len(waiting) - 1, chance.randrange(len(waiting))]))
                log[home[ordinal]].append(ordinal)
            if chance.random() < 0.2:
                log[chance.randrange(partitions)].append(None)
    in_log = sorted(o for partition_log in log.values() for o in partition_log if o is not None)
    assert in_log == list(range(len(home)))
