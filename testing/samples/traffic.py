"""A run folder of a whole world's traffic, with vectors that an honest scorer would have served."""

from bisect import bisect_left

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from stream_features.parity.log import LogEvents

from fraudsim.archive.log_files import log_folder, write_file
from fraudsim.archive.records import Record, to_table
from fraudsim.log.events import Label, LogPrefix, Transaction, encoder
from fraudsim.log.partitioning import partition_of
from fraudsim.log.topics import CLOCK, DECISIONS, LABELS, TRANSACTIONS
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.parity.replay import Replay
from stream_features.store.prime import state_of_history
from testing.samples.log import make_segment
from testing.samples.run import WALL, make_decision

SPEED = 2_720.0
"""Event seconds a second, as `demo` has it at 500 transactions a second of 5,000 cards."""
HORIZON_MS = int(30_000 * SPEED)
FILE = 20_000
"""Records in one file of the archive."""


def write_traffic(folder, settings, cards, history_days, days):
    """A history, and a log of the days after it in which every transaction was decided at once.

    Workers had folded up to 200 records less than was in the log, slot by slot; the tail held these.
    Gives the number of decisions.
    """
    world = folder / "world"
    write_history(world, World(WorldConfig(cards=cards, seed=3)), history_days + days)
    read = read_history(world)
    transactions, labels = read.transactions(), read.labels()
    ts = transactions["ts"].to_numpy()
    start = int(ts[0]) // 86_400_000 * 86_400_000 + history_days * 86_400_000
    first = int(np.searchsorted(ts, start))
    known_at = labels["known_at"].to_numpy()
    past = transactions.slice(0, first), labels.filter(pa.array(known_at < start))
    (folder / "history").mkdir()
    for name, table in zip(("transactions", "labels"), past, strict=True):
        pq.write_table(table, folder / "history" / f"{name}.parquet")
    live = known_at >= start
    live &= known_at <= ts[-1]
    log_folder(folder).mkdir()
    segment = make_segment(
        event_epoch_ms=start, wall_epoch_ms=WALL, speed=SPEED, horizon_ms=HORIZON_MS,
        past_ms=int(120_000 * SPEED), future_ms=int(5_000 * SPEED),
    )  # fmt: skip
    _write(folder, CLOCK, [(0, WALL, segment)])

    def arrived(event_ms):
        return WALL + int((event_ms - start) / SPEED)

    def placed(items):
        return [(partition_of(item.card_id, settings.partitions), at, item) for at, item in items]

    events = [(arrived(e.ts), e) for e in _structs(transactions.slice(first), Transaction)]
    said = sorted(
        ((arrived(item.known_at) + 1, item) for item in _structs(labels.filter(pa.array(live)), Label)),
        key=lambda pair: pair[0],
    )
    at = _write(folder, TRANSACTIONS, placed(events))
    label_at = _write(folder, LABELS, placed(said))
    decisions = _decisions(folder, settings, past, start, events, at, said, label_at)
    _write(folder, DECISIONS, decisions)
    return len(decisions)


def _decisions(folder, settings, past, start, events, at, said, label_at):
    log = LogEvents(folder, settings.partitions)
    replay = Replay(log, state_of_history(*past, start, HORIZON_MS), settings.slots)
    rng = np.random.default_rng(4)
    lag = np.zeros(settings.slots, int)
    ends = _ends(at, settings.partitions)
    label_ends = _ends(label_at, settings.partitions)
    label_times = [when for when, _ in said]
    found = []
    for number, ((when, tx), place) in enumerate(zip(events, at, strict=True)):
        if number % 50 == 0:
            # Watermarks only ever go forward: nobody folds less than before.
            lag = np.minimum(lag + 50, rng.integers(0, 200, settings.slots))
        seen = ends[number]
        known = label_ends[bisect_left(label_times, when)]
        slots = {}
        for slot in range(settings.slots):
            slots[str(slot)] = [*ends[max(0, number - int(lag[slot]))], *known]
        oldest = ends[max(0, number - int(lag.max()))]
        prefix = LogPrefix(slots=slots, tail_from=[end + 1 for end in oldest], tail_to=list(seen))
        decision = make_decision(tx, place, prefix, replay.vector(tx, prefix))
        found.append((place[0], when + 1, decision))
    return found


def _ends(places, partitions):
    """By number of records, the last offset of each partition: -1 at first."""
    ends = [[-1] * partitions]
    for partition, offset in places:
        ends.append([offset if p == partition else end for p, end in enumerate(ends[-1])])
    return ends


def _write(folder, topic, items):
    """(partition, broker time, event) triples into the archive; their places."""
    next_offset, places, records = {}, [], []
    for partition, when, event in items:
        offset = next_offset.get(partition, 0)
        next_offset[partition] = offset + 1
        places.append((partition, offset))
        records.append(Record(partition, offset, when, b"c", [("segment", b"0")], encoder.encode(event)))
    for seq, start in enumerate(range(0, len(records), FILE)):
        write_file(folder, topic, seq, to_table(topic, records[start : start + FILE]))
    return places


def _structs(table, event):
    names = [name for name in table.column_names if name in event.__struct_fields__]
    for row in table.select(names).to_pylist():
        yield event(**{name: value for name, value in row.items() if value is not None})
