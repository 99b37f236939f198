"""Random logs with late, equal, duplicate and future events, as the judge leaves them."""

import random
from dataclasses import dataclass, field

import pyarrow as pa
from hypothesis import assume
from hypothesis import strategies as st

from fraudsim.log.acceptance import Acceptance, Rejected
from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Label, Transaction, encoder
from fraudsim.log.partitioning import partition_of
from stream_features.catalogue.features import DAY, HOUR, KEY_FIELD, LABEL_MEMORY, LONGEST, MINUTE
from stream_features.vector import keys_of
from testing.samples.log import T0, make_segment

PARTITIONS = 2
START = T0 // DAY * DAY
"""A whole day: as much lies on tiles' edges as beside them."""
SEGMENT = make_segment(event_epoch_ms=START, wall_epoch_ms=START)
HORIZON = SEGMENT.horizon_ms
GAPS = [0, 0, 0, 1, 999, 1_000, 59_999, MINUTE, 5 * MINUTE, HOUR, DAY, DAY + 1, 7 * DAY, LONGEST, LONGEST + 1]
"""Between one arrival and the next, ms."""
LATE = [0, 0, 0, 0, 1, 1_000, MINUTE, HORIZON, HORIZON + 1, SEGMENT.past_ms, SEGMENT.past_ms + 1]
FUTURE = [-1, -1_000, -SEGMENT.future_ms, -SEGMENT.future_ms - 1]
KNOWN_AFTER = [0, 1, MINUTE, DAY, 90 * DAY, LABEL_MEMORY, LABEL_MEMORY + 1]
PLACES = [(None, None), (48.2, 16.4), (48.20001, 16.4), (-33.9, 151.2), (48.123455, -179.999995)]


@dataclass
class Stream:
    """What counts of one log and the history before it. Places are (partition, offset), None of history."""

    transactions: list[tuple[tuple[int, int] | None, Transaction]] = field(default_factory=list)
    labels: list[tuple[tuple[int, int] | None, Label]] = field(default_factory=list)


@dataclass(frozen=True)
class Prefix:
    """What a decision saw, by entity: the last offsets folded, of transactions and of labels."""

    folded: dict[str, list[int]]
    labels_folded: dict[str, list[int]]
    tail_from: list[int]
    tail_to: list[int]
    pending: list[str]

    def holds(self, entity, place, tx):
        if place is None or tx.tx_id in self.pending:
            return True
        partition, offset = place
        in_tail = self.tail_from[partition] <= offset <= self.tail_to[partition]
        return in_tail or offset <= self.folded[entity][partition]

    def holds_label(self, entity, place):
        return place is None or place[1] <= self.labels_folded[entity][place[0]]


@st.composite
def streams(draw, name):
    """One stream, whose keys and ids no other `name` has."""
    clock = Clock()
    clock.add(LoggedSegment(SEGMENT, START))
    judge = Acceptance(clock)
    found = Stream()
    arrived, offsets, label_offsets = START - 40 * DAY, [0] * PARTITIONS, [0] * PARTITIONS
    step = st.tuples(
        st.sampled_from(GAPS),
        st.sampled_from(LATE + FUTURE),
        st.sampled_from([0, 1, 1, 99, 1_000, 10**9 - 1, 10**9]),
        st.sampled_from("ccck"),
        st.sampled_from(["d", "d", "e", None]),
        st.sampled_from(["m", "m", "m", "n", None]),
        st.sampled_from(["1", "1", "2", None]),
        st.sampled_from(PLACES),
        st.sampled_from(["new", "new", "new", "new", "again", "label"]),
    )
    for number, (gap, late, amount, card, device, merchant, ip, where, kind) in enumerate(
        draw(st.lists(step, min_size=6, max_size=18))
    ):
        arrived += gap
        ts = arrived - late
        earlier = [tx for _, tx in found.transactions]
        its_card = f"{card}{name}"
        partition = partition_of(its_card, PARTITIONS)
        headers = (("segment", b"0"),)
        if kind == "label" and earlier:
            tx = earlier[draw(st.integers(0, len(earlier) - 1))]
            label = Label(
                tx_id=tx.tx_id, card_id=tx.card_id, merchant_id=tx.merchant_id, ts=tx.ts,
                amount_cents=tx.amount_cents, is_fraud=draw(st.booleans()),
                source=draw(st.sampled_from(["customer", "chargeback", "analyst"])),
                known_at=ts + draw(st.sampled_from(KNOWN_AFTER)) * (arrived < START),
            )  # fmt: skip
            if arrived < START:
                found.labels.append((None, label))
                continue
            partition = partition_of(tx.card_id, PARTITIONS)
            place = partition, label_offsets[partition]
            label_offsets[partition] += 1
            if not isinstance(judge.label(*place, arrived, headers, encoder.encode(label)), Rejected):
                found.labels.append((place, label))
            continue
        tx_id = earlier[-1].tx_id if kind == "again" and earlier else f"t{number}.{name}"
        tx = Transaction(
            tx_id=tx_id, ts=ts, amount_cents=amount, card_id=its_card,
            device_id=device and f"{device}{name}", merchant_id=merchant and f"{merchant}{name}",
            ip=ip and f"{ip}.{name}.0.1", lat=where[0], lon=where[1], mcc=amount % 3 or None,
            channel="atm" if late else None, country="AT" if gap else None,
        )  # fmt: skip
        if arrived < START:
            if tx_id not in {other.tx_id for other in earlier}:
                found.transactions.append((None, tx))
            continue
        place = partition, offsets[partition]
        offsets[partition] += 1
        if not isinstance(judge.transaction(*place, arrived, headers, encoder.encode(tx)), Rejected):
            found.transactions.append((place, tx))
    assume(found.transactions)
    return found


def prefixes(stream, rng: random.Random):
    """For each of a stream's transactions the prefix of a decision on it: plausible, stale, or with holes."""
    placed = [place for place, _ in stream.transactions if place]
    ends = [max((o for p, o in placed if p == partition), default=-1) for partition in range(PARTITIONS)]
    label_places = [place for place, _ in stream.labels if place]
    label_ends = [max((o for p, o in label_places if p == q), default=-1) for q in range(PARTITIONS)]
    found = []
    for _, at_hand in stream.transactions:
        keys = set(keys_of(at_hand))
        related = [tx.tx_id for place, tx in stream.transactions if place and keys & set(keys_of(tx))]
        tail_from = [rng.randint(0, end + 1) for end in ends]
        found.append(
            Prefix(
                {entity: [rng.randint(-1, end) for end in ends] for entity in KEY_FIELD},
                {entity: [rng.randint(-1, end) for end in label_ends] for entity in KEY_FIELD},
                tail_from,
                [rng.randint(start - 1, end) for start, end in zip(tail_from, ends, strict=True)],
                rng.sample(related, min(len(related), rng.choice([0, 0, 0, 1, 2]))),
            )
        )
    return found


def _table(rows, event, names):
    columns = {name: [getattr(row, name) for _, row in rows] for name in names}
    columns["log_partition"] = [place and place[0] for place, _ in rows]
    columns["log_offset"] = [place and place[1] for place, _ in rows]
    types = {"lat": pa.float64(), "lon": pa.float64(), "is_fraud": pa.bool_()}
    numbers = ("ts", "amount_cents", "mcc", "known_at", "log_partition", "log_offset")
    return pa.table(
        {
            name: pa.array(values, types.get(name, pa.int64() if name in numbers else pa.string()))
            for name, values in columns.items()
        }
    )


def transaction_table(found):
    """All streams' transactions, one stream after the other."""
    names = ("tx_id", "ts", "amount_cents", *KEY_FIELD.values(), "lat", "lon", "mcc", "channel", "country")
    return _table([row for stream in found for row in stream.transactions], Transaction, names)


def label_table(found):
    """All streams' labels."""
    names = ("tx_id", "known_at", "is_fraud", "source", "card_id", "merchant_id")
    return _table([row for stream in found for row in stream.labels], Label, names)


def with_prefixes(table, found):
    """A table of transactions with the prefix of each, as `WithinPrefix` reads it."""
    lists = pa.list_(pa.int64())
    columns = {
        "tail_from": ([p.tail_from for p in found], lists),
        "tail_to": ([p.tail_to for p in found], lists),
        "pending": ([p.pending for p in found], pa.list_(pa.string())),
    }
    for entity in KEY_FIELD:
        columns[f"{entity}_folded"] = ([p.folded[entity] for p in found], lists)
        columns[f"{entity}_labels_folded"] = ([p.labels_folded[entity] for p in found], lists)
    for name, (values, kind) in columns.items():
        table = table.append_column(name, pa.array(values, kind))
    return table.drop_columns(["log_partition", "log_offset"])
