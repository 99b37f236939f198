"""Random logs with late, equal, duplicate and future events, as acceptance leaves them."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
from hypothesis import assume
from hypothesis import strategies as st

from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Label, Transaction, encoder
from fraudsim.log.partitioning import partition_of
from stream_features.catalogue.features import DAY, HOUR, KEY_FIELD, LABEL_MEMORY, LONGEST, MINUTE
from stream_features.vector import keys_of
from testing.samples.log import T0, LogPosition, make_segment

PARTITIONS: Final = 2
START: Final = T0 // DAY * DAY
"""A whole day, so that times fall on the edges of tiles as often as beside them."""
SEGMENT: Final = make_segment(event_epoch_ms=START, wall_epoch_ms=START)
HORIZON: Final = SEGMENT.horizon_ms
GAPS: Final = [
    0, 0, 0, 1, 999, 1_000, 59_999, MINUTE, 5 * MINUTE, HOUR, DAY, DAY + 1, 7 * DAY, LONGEST, LONGEST + 1,
]  # fmt: skip
"""Between two arrivals, ms."""
LATE: Final = [0, 0, 0, 0, 1, 1_000, MINUTE, HORIZON, HORIZON + 1, SEGMENT.past_ms, SEGMENT.past_ms + 1]
"""Arrival less event time, ms."""
FUTURE: Final = [-1, -1_000, -SEGMENT.future_ms, -SEGMENT.future_ms - 1]
KNOWN_AFTER: Final = [0, 1, MINUTE, DAY, 90 * DAY, LABEL_MEMORY, LABEL_MEMORY + 1]
"""A label's `known_at` less its transaction's ts, ms."""
LOCATIONS: Final = [(None, None), (48.2, 16.4), (48.20001, 16.4), (-33.9, 151.2), (48.123455, -179.999995)]


@dataclass
class EventLog:
    """The accepted events of one log and of the history before it, which has no positions."""

    transactions: list[tuple[LogPosition | None, Transaction]] = field(default_factory=list)
    labels: list[tuple[LogPosition | None, Label]] = field(default_factory=list)


@dataclass(frozen=True)
class Prefix:
    """The part of a log that a decision saw: by entity the last folded offsets, and the unfolded log."""

    folded: dict[str, list[int]]
    labels_folded: dict[str, list[int]]
    tail_from: list[int]
    tail_to: list[int]
    pending: list[str]
    lag_ms: int = 0
    until_ms: int | None = None
    """With a lag, its features include nothing from this time on."""

    def holds(self, entity: str, position: LogPosition | None, tx: Transaction) -> bool:
        """Whether an entity's features include a transaction."""
        if self.until_ms is not None and tx.ts >= self.until_ms:
            return False
        if position is None or tx.tx_id in self.pending:
            return True
        partition, offset = position
        unfolded = self.tail_from[partition] <= offset <= self.tail_to[partition]
        return unfolded or offset <= self.folded[entity][partition]

    def holds_label(self, entity: str, position: LogPosition | None, label: Label) -> bool:
        """Whether an entity's features include a label."""
        if self.until_ms is not None and label.known_at >= self.until_ms:
            return False
        return position is None or position[1] <= self.labels_folded[entity][position[0]]


@st.composite
def event_logs(draw: st.DrawFn, name: str) -> EventLog:
    """One log, whose keys and ids no other `name` has."""
    clock = Clock()
    clock.add(LoggedSegment(SEGMENT, START))
    acceptance = Acceptance(clock)
    log = EventLog()
    arrived, offsets, label_offsets = START - 40 * DAY, [0] * PARTITIONS, [0] * PARTITIONS
    step = st.tuples(
        st.sampled_from(GAPS),
        st.sampled_from(LATE + FUTURE),
        st.sampled_from([0, 1, 1, 99, 1_000, 10**9 - 1, 10**9]),
        st.sampled_from("ccck"),
        st.sampled_from(["d", "d", "e", None]),
        st.sampled_from(["m", "m", "m", "n", None]),
        st.sampled_from(["1", "1", "2", None]),
        st.sampled_from(LOCATIONS),
        st.sampled_from(["new", "new", "new", "new", "again", "label"]),
    )
    headers = (("segment", b"0"),)
    for number, (gap, late, amount, card, device, merchant, ip, location, kind) in enumerate(
        draw(st.lists(step, min_size=6, max_size=18))
    ):
        arrived += gap
        ts = arrived - late
        earlier = [tx for _, tx in log.transactions]
        if kind == "label" and earlier:
            tx = earlier[draw(st.integers(0, len(earlier) - 1))]
            label = Label(
                tx_id=tx.tx_id, card_id=tx.card_id, merchant_id=tx.merchant_id, ts=tx.ts,
                amount_cents=tx.amount_cents, is_fraud=draw(st.booleans()),
                source=draw(st.sampled_from(["customer", "chargeback", "analyst"])),
                known_at=ts + draw(st.sampled_from(KNOWN_AFTER)) * (arrived < START),
            )  # fmt: skip
            if arrived < START:
                log.labels.append((None, label))
                continue
            partition = partition_of(tx.card_id, PARTITIONS)
            position = partition, label_offsets[partition]
            label_offsets[partition] += 1
            if not isinstance(acceptance.label(*position, arrived, headers, encoder.encode(label)), Rejected):
                log.labels.append((position, label))
            continue
        tx_id = earlier[-1].tx_id if kind == "again" and earlier else f"t{number}.{name}"
        tx = Transaction(
            tx_id=tx_id, ts=ts, amount_cents=amount, card_id=f"{card}{name}",
            device_id=device and f"{device}{name}", merchant_id=merchant and f"{merchant}{name}",
            ip=ip and f"{ip}.{name}.0.1", lat=location[0], lon=location[1], mcc=amount % 3 or None,
            channel="atm" if late else None, country="AT" if gap else None,
        )  # fmt: skip
        if arrived < START:
            if tx_id not in {other.tx_id for other in earlier}:
                log.transactions.append((None, tx))
            continue
        partition = partition_of(tx.card_id, PARTITIONS)
        position = partition, offsets[partition]
        offsets[partition] += 1
        if not isinstance(acceptance.transaction(*position, arrived, headers, encoder.encode(tx)), Rejected):
            log.transactions.append((position, tx))
    assume(log.transactions)
    return log


def prefixes(log: EventLog, rng: random.Random) -> list[Prefix]:
    """For each transaction the prefix of a decision on it: plausible, stale, or with gaps."""
    ends = _last_offsets(position for position, _ in log.transactions)
    label_ends = _last_offsets(position for position, _ in log.labels)
    result = []
    for _, at_hand in log.transactions:
        keys = set(keys_of(at_hand))
        related = [tx.tx_id for position, tx in log.transactions if position and keys & set(keys_of(tx))]
        tail_from = [rng.randint(0, end + 1) for end in ends]
        lag_ms = rng.choice([0, 0, 1, MINUTE, HOUR, DAY])
        result.append(
            Prefix(
                {entity: [rng.randint(-1, end) for end in ends] for entity in KEY_FIELD},
                {entity: [rng.randint(-1, end) for end in label_ends] for entity in KEY_FIELD},
                tail_from,
                [rng.randint(start - 1, end) for start, end in zip(tail_from, ends, strict=True)],
                rng.sample(related, min(len(related), rng.choice([0, 0, 0, 1, 2]))),
                lag_ms,
                at_hand.ts - lag_ms if lag_ms else None,
            )
        )
    return result


def _last_offsets(positions: Iterable[LogPosition | None]) -> list[int]:
    """The last offset of each partition, -1 where it is empty."""
    ends = [-1] * PARTITIONS
    for position in positions:
        if position is not None:
            ends[position[0]] = max(ends[position[0]], position[1])
    return ends


def _table(rows: Sequence[tuple[LogPosition | None, Any]], names: Sequence[str]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [getattr(event, name) for _, event in rows] for name in names}
    columns["log_partition"] = [position and position[0] for position, _ in rows]
    columns["log_offset"] = [position and position[1] for position, _ in rows]
    types = {"lat": pa.float64(), "lon": pa.float64(), "is_fraud": pa.bool_()}
    integers = ("ts", "amount_cents", "mcc", "known_at", "log_partition", "log_offset")
    return pa.table(
        {
            name: pa.array(values, types.get(name, pa.int64() if name in integers else pa.string()))
            for name, values in columns.items()
        }
    )


def transaction_table(logs: Iterable[EventLog]) -> pa.Table:
    """All transactions, one log after the other."""
    names = ("tx_id", "ts", "amount_cents", *KEY_FIELD.values(), "lat", "lon", "mcc", "channel", "country")
    return _table([row for log in logs for row in log.transactions], names)


def label_table(logs: Iterable[EventLog]) -> pa.Table:
    """All labels, one log after the other."""
    names = ("tx_id", "known_at", "is_fraud", "source", "card_id", "merchant_id")
    return _table([row for log in logs for row in log.labels], names)


def with_prefixes(table: pa.Table, row_prefixes: Sequence[Prefix]) -> pa.Table:
    """A table of transactions with the prefix of each, as `WithinPrefix` reads it."""
    lists = pa.list_(pa.int64())
    columns = {
        "lag_ms": ([prefix.lag_ms for prefix in row_prefixes], pa.int64()),
        "tail_from": ([prefix.tail_from for prefix in row_prefixes], lists),
        "tail_to": ([prefix.tail_to for prefix in row_prefixes], lists),
        "pending": ([prefix.pending for prefix in row_prefixes], pa.list_(pa.string())),
    }
    for entity in KEY_FIELD:
        columns[f"{entity}_folded"] = ([prefix.folded[entity] for prefix in row_prefixes], lists)
        columns[f"{entity}_labels_folded"] = ([p.labels_folded[entity] for p in row_prefixes], lists)
    for name, (values, kind) in columns.items():
        table = table.append_column(name, pa.array(values, kind))
    return table.drop_columns(["log_partition", "log_offset"])
