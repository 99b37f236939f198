"""A run folder of a whole world's traffic, with the vectors that a correct scorer serves."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.log_files import log_folder, write_file
from fraudsim.archive.records import Record, to_table
from fraudsim.log.events import Label, LogPrefix, Transaction, encoder
from fraudsim.log.partitioning import partition_of
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from fraudsim.settings import Settings
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.parity.log_events import LogEvents
from stream_features.parity.replay import Replay
from stream_features.store.prime import state_of_history
from testing.samples.log import LogPosition, make_segment
from testing.samples.run import WALL, make_decision

SPEED: Final = 2_720.0
"""Event seconds a second, as `demo` derives it for 500 transactions a second of 5,000 cards."""
HORIZON_MS: Final = int(30_000 * SPEED)
RECORDS_PER_FILE: Final = 20_000
"""Of the archive."""
LARGEST_LAG: Final = 200
"""Records by which a slot's watermark is behind the log at most."""
DAY_MS: Final = 86_400_000

E = TypeVar("E", Transaction, Label)
Arrivals = list[tuple[int, E]]
"""(broker time in ms, event) in the order of the log."""


def write_traffic(folder: Path, settings: Settings, cards: int, history_days: int, days: int) -> int:
    """Write a history, and a log of the days after it in which every transaction was decided at once.

    Watermarks are up to `LARGEST_LAG` records behind the log, slot by slot; the unfolded log holds these.

    Returns:
        The number of decisions.
    """
    world = folder / "world"
    write_history(world, World(WorldConfig(cards=cards, seed=3)), history_days + days)
    whole = read_history(world)
    transactions, labels = whole.transactions(), whole.labels()
    ts = transactions["ts"].to_numpy()
    start = int(ts[0]) // DAY_MS * DAY_MS + history_days * DAY_MS
    first = int(np.searchsorted(ts, start))
    known_at = labels["known_at"].to_numpy()
    past = transactions.slice(0, first), labels.filter(pa.array(known_at < start))
    (folder / "history").mkdir()
    for name, table in zip(("transactions", "labels"), past, strict=True):
        pq.write_table(table, folder / "history" / f"{name}.parquet")
    live = (known_at >= start) & (known_at <= ts[-1])
    log_folder(folder).mkdir()
    segment = make_segment(
        event_epoch_ms=start, wall_epoch_ms=WALL, speed=SPEED, horizon_ms=HORIZON_MS,
        past_ms=int(120_000 * SPEED), future_ms=int(5_000 * SPEED),
    )  # fmt: skip
    _write(folder, CLOCK, [(0, WALL, segment)])

    def arrival_ms(event_ms: int) -> int:
        return WALL + int((event_ms - start) / SPEED)

    arrivals = [(arrival_ms(tx.ts), tx) for tx in _structs(transactions.slice(first), Transaction)]
    label_arrivals = sorted(
        ((arrival_ms(label.known_at) + 1, label) for label in _structs(labels.filter(pa.array(live)), Label)),
        key=lambda pair: pair[0],
    )
    positions = _write(folder, TRANSACTIONS, _partitioned(arrivals, settings.partitions))
    label_positions = _write(folder, LABELS, _partitioned(label_arrivals, settings.partitions))
    log = LogEvents(folder, settings.partitions)
    replay = Replay(log, state_of_history(*past, start, HORIZON_MS), settings.slots)
    prefixes = _prefixes(settings, arrivals, positions, label_arrivals, label_positions)
    decisions = [
        (position[0], time_ms + 1, make_decision(tx, position, prefix, replay.vector(tx, prefix)))
        for (time_ms, tx), position, prefix in zip(arrivals, positions, prefixes, strict=True)
    ]
    _write(folder, DECISIONS, decisions)
    return len(decisions)


def _partitioned(arrivals: Arrivals[E], partitions: int) -> list[tuple[int, int, E]]:
    return [(partition_of(event.card_id, partitions), time_ms, event) for time_ms, event in arrivals]


def _prefixes(
    settings: Settings,
    arrivals: Arrivals[Transaction],
    positions: Sequence[LogPosition],
    label_arrivals: Arrivals[Label],
    label_positions: Sequence[LogPosition],
) -> Iterator[LogPrefix]:
    """The log prefix of a decision on each transaction."""
    rng = np.random.default_rng(4)
    lag = np.zeros(settings.slots, int)
    ends = _ends(positions, settings.partitions)
    label_ends = _ends(label_positions, settings.partitions)
    label_times_ms = [time_ms for time_ms, _ in label_arrivals]
    for number, (time_ms, _) in enumerate(arrivals):
        if number % 50 == 0:
            # A watermark never goes back, so a lag grows by no more than the records since.
            lag = np.minimum(lag + 50, rng.integers(0, LARGEST_LAG, settings.slots))
        folded_labels = label_ends[bisect_left(label_times_ms, time_ms)]
        slots = {
            str(slot): [*ends[max(0, number - int(lag[slot]))], *folded_labels]
            for slot in range(settings.slots)
        }
        oldest = ends[max(0, number - int(lag.max()))]
        yield LogPrefix(slots=slots, tail_from=[end + 1 for end in oldest], tail_to=list(ends[number]))


def _ends(positions: Iterable[LogPosition], partitions: int) -> list[list[int]]:
    """By number of records, the last offset of each partition; -1 where it is empty."""
    ends = [[-1] * partitions]
    for partition, offset in positions:
        ends.append([offset if p == partition else end for p, end in enumerate(ends[-1])])
    return ends


def _write(folder: Path, topic: str, items: Iterable[tuple[int, int, msgspec.Struct]]) -> list[LogPosition]:
    """Write (partition, broker time, event) triples into the archive, and return their positions."""
    next_offset: dict[int, int] = {}
    positions, records = [], []
    for partition, time_ms, event in items:
        offset = next_offset.get(partition, 0)
        next_offset[partition] = offset + 1
        positions.append((partition, offset))
        records.append(Record(partition, offset, time_ms, b"c", [("segment", b"0")], encoder.encode(event)))
    for sequence, start in enumerate(range(0, len(records), RECORDS_PER_FILE)):
        write_file(folder, topic, sequence, to_table(topic, records[start : start + RECORDS_PER_FILE]))
    return positions


def _structs(table: pa.Table, event_type: type[E]) -> Iterator[E]:
    names = [name for name in table.column_names if name in event_type.__struct_fields__]
    for row in table.select(names).to_pylist():
        fields: dict[str, Any] = {name: value for name, value in row.items() if value is not None}
        yield event_type(**fields)
