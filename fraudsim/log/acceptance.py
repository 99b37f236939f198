"""Acceptance: which records of the log count. A function of the log alone.

A record is accepted if it is valid and the first with its id among the previous 50,000 offsets of its
partition. Every worker, scorer, engine and rebuild uses `Acceptance`, so all accept the same records. A live
reader awaits `ClockLog.catch_up_for` before it, so that no segment is missing. The only state is the ids of
recent offsets: a reader that starts elsewhere first reads the previous 50,000 offsets, unless they are still
remembered from an earlier read.
"""

import re
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import msgspec

from fraudsim.log import headers as h
from fraudsim.log.clock import Clock, event_time_ms
from fraudsim.log.events import (
    MAX_EVENT_BYTES,
    Decision,
    Label,
    Segment,
    Transaction,
    decode_decision,
    decode_label,
    decode_transaction,
)
from fraudsim.log.topics import LABELS, TRANSACTIONS

UNIQUE_WITHIN: Final = 50_000
"""Offsets of one partition within which an id must be unique."""
GO_BACK: Final = 25_000
"""Offsets by which a reader can go back without reading ids again."""

RECEIVED_WITHIN_MS: Final = 600_000
"""By how much HTTP's receive stamp and the broker's may differ. A minute or two passes until HTTP gives up
publishing; the rest is for clocks that differ. A forged stamp evades the limits of event time by no more."""

_SHARED: Final = ("tx_id", "card_id", "ts", "amount_cents", "merchant_id")
"""The fields that a decision shares with its transaction."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a record does not count. Invalid records are dead letters; duplicates are only counted."""

    kind: Literal["invalid", "duplicate"]
    field: str
    reason: str
    tx_id: str = ""
    """Set for a duplicate transaction."""


HEADERS_REJECTED: Final = Rejected("invalid", "headers", "the name of a header is not UTF-8")
"""The rejection of a record with `UNREADABLE_HEADERS`."""


@dataclass(slots=True)
class _RecentIds:
    """The ids of valid records in a contiguous range of one partition's offsets."""

    first: int
    """First offset of the range."""
    end: int
    """Next offset expected."""
    last_offset: dict[Hashable, int] = field(default_factory=dict)
    """Last offset of each id."""
    order: deque[tuple[int, Hashable]] = field(default_factory=deque)

    def is_duplicate(self, key: Hashable, offset: int) -> bool:
        """Whether the id occurred within the previous `UNIQUE_WITHIN` offsets; remembers it."""
        last_offset, order = self.last_offset, self.order
        previous = last_offset.get(key)
        last_offset[key] = offset
        order.append((offset, key))
        self.first = max(self.first, offset - UNIQUE_WITHIN - GO_BACK)
        while order[0][0] < self.first:
            old_offset, old_key = order.popleft()
            if last_offset[old_key] == old_offset:
                del last_offset[old_key]
        return previous is not None and previous >= offset - UNIQUE_WITHIN

    def go_back(self, offset: int) -> None:
        """Forget the ids at `offset` and beyond."""
        if offset < self.end:
            self.order = deque(entry for entry in self.order if entry[0] < offset)
            self.last_offset = {key: id_offset for id_offset, key in self.order}
            self.end = offset


class Acceptance:
    """Accepts or rejects records. A partition's must come in offset order, without gaps, from `begin` on.

    `clock` must hold every segment that is in the log before the records. `features` is the number of
    features in a decision of HTTP; None where any number will do.
    """

    def __init__(self, clock: Clock, features: int | None = None) -> None:
        self.clock = clock
        self._features = features
        self._recent: dict[tuple[str, int], _RecentIds] = {}

    def begin(self, topic: str, partition: int, first: int, log_begin: int) -> int:
        """Prepare for a partition's records from offset `first` on; the log holds it from `log_begin` on.

        Returns the offset to read from: `first` itself if the ids needed to tell duplicates are remembered;
        where the memory ends within them, its end; else up to `UNIQUE_WITHIN` offsets before `first`.
        """
        needed = max(log_begin, first - UNIQUE_WITHIN)
        recent = self._recent.get((topic, partition))
        if recent is not None and recent.first <= needed <= recent.end:
            recent.go_back(first)
            return min(first, recent.end)
        self._recent[topic, partition] = _RecentIds(needed, needed)
        return needed

    def remembered_from(self, topic: str, partition: int) -> int:
        """First offset of the range whose ids are all remembered."""
        return self._recent[topic, partition].first

    def events(
        self, topic: str, partition: int, records: Iterable[Any], from_offset: int
    ) -> Iterator[tuple[Any, "Transaction | Label | Rejected"]]:
        """Each record of `transactions` or `labels` from an offset on, with its event or why it is rejected.

        Args:
            records: those of one partition, in offset order, as aiokafka gives them.
        """
        accept = self.label if topic == LABELS else self.transaction
        for record in records:
            if record.offset >= from_offset:
                yield (
                    record,
                    accept(partition, record.offset, record.timestamp, record.headers, record.value),
                )

    def transaction(
        self, partition: int, offset: int, broker_ts_ms: int, headers: h.Headers, value: bytes | None
    ) -> Transaction | Rejected:
        """The transaction of a record if it is accepted, else the reason."""
        recent = self._recent_at(TRANSACTIONS, partition, offset)
        event = read_event(value, decode_transaction, headers)
        if isinstance(event, Rejected):
            return event
        # HTTP answered by its own receive stamp, so that stamp applies: what was answered counts.
        arrived_ms = broker_ts_ms
        http_decision = h.header(headers, h.DECISION)
        if http_decision is not None:
            decision = read_event(http_decision, decode_decision)
            differs = decision.field if isinstance(decision, Rejected) else self._difference(decision, event)
            if differs is not None:
                return Rejected(
                    "invalid",
                    h.DECISION,
                    f"header decision is not a decision of this transaction: see its {differs}",
                )
            arrived_ms = h.int_header(headers, h.RECEIVED) or broker_ts_ms
            if abs(arrived_ms - broker_ts_ms) > RECEIVED_WITHIN_MS:
                return Rejected(
                    "invalid",
                    h.RECEIVED,
                    f"header {h.RECEIVED}={arrived_ms} is {arrived_ms - broker_ts_ms} ms from the broker's "
                    f"time, more than {RECEIVED_WITHIN_MS}",
                )
        rejected = self._check_time(event.ts, "ts", arrived_ms, broker_ts_ms, headers)
        if rejected is not None:
            return rejected
        if recent.is_duplicate(event.tx_id, offset):
            return Rejected(
                "duplicate", "tx_id", f"tx_id {event.tx_id} occurs among the previous records", event.tx_id
            )
        return event

    def _difference(self, decision: Decision, tx: Transaction) -> str | None:
        """The first field in which a decision is not one of HTTP on this transaction."""
        if decision.via != "http":
            return "via"
        if self._features is not None and len(decision.features) != self._features:
            return "features"
        return next((name for name in _SHARED if getattr(decision, name) != getattr(tx, name)), None)

    def label(
        self, partition: int, offset: int, broker_ts_ms: int, headers: h.Headers, value: bytes | None
    ) -> Label | Rejected:
        """The label of a record if it is accepted, else the reason."""
        recent = self._recent_at(LABELS, partition, offset)
        event = read_event(value, decode_label, headers)
        if isinstance(event, Rejected):
            return event
        rejected = self._check_time(event.known_at, "known_at", broker_ts_ms, broker_ts_ms, headers)
        if rejected is not None:
            return rejected
        if recent.is_duplicate((event.tx_id, event.source, event.known_at), offset):
            return Rejected("duplicate", "tx_id", f"the same label of {event.tx_id} occurs before")
        return event

    def _recent_at(self, topic: str, partition: int, offset: int) -> _RecentIds:
        """The recent ids of a partition, advanced to a record's offset."""
        recent = self._recent.get((topic, partition))
        if recent is None:
            recent = self._recent[topic, partition] = _RecentIds(offset, offset)
        recent.end = offset + 1
        return recent

    def _check_time(
        self, event_ms: int, field: str, arrived_ms: int, broker_ts_ms: int, headers: h.Headers
    ) -> Rejected | None:
        """The rejection of a record whose segment is not in force or whose event time is out of limits."""
        number = h.int_header(headers, h.SEGMENT)
        if number is None:
            if h.header(headers, h.UNREADABLE_HEADERS) is not None:
                return HEADERS_REJECTED
            return Rejected("invalid", "segment", "header segment is missing or not a number")
        segment = self.clock.segment(number, broker_ts_ms)
        if segment is None:
            return Rejected("invalid", "segment", f"header segment={number} is not in force in run.clock")
        return out_of_limits(segment, event_ms, field, arrived_ms)


def out_of_limits(segment: Segment, event_ms: int, field: str, arrived_ms: int) -> Rejected | None:
    """The rejection of an event time too far from its arrival (wall clock), by the limits of a segment."""
    arrival = event_time_ms(segment, arrived_ms)
    if event_ms - arrival > segment.future_ms:
        return Rejected(
            "invalid",
            field,
            f"{field}={event_ms} is {event_ms - arrival} ms ahead of its arrival, "
            f"more than {segment.future_ms}",
        )
    if arrival - event_ms > segment.past_ms:
        return Rejected(
            "invalid",
            field,
            f"{field}={event_ms} is {arrival - event_ms} ms behind its arrival, more than {segment.past_ms}",
        )
    return None


E = TypeVar("E")


def read_event(value: bytes | None, decode: Callable[[bytes], E], headers: h.Headers = ()) -> E | Rejected:
    """Decode one value; a rejection names the field that cannot be read.

    Args:
        headers: the record's; they say where a reader left out a value that is too large.
    """
    if value is None:
        oversized = h.header(headers, h.OVERSIZED)
        if oversized is not None:
            return Rejected("invalid", "value", " ".join(oversized.decode("utf-8", "replace").split())[:300])
        return Rejected("invalid", "value", "the record has no value")
    if len(value) > MAX_EVENT_BYTES:
        return Rejected(
            "invalid", "value", f"value of {len(value)} bytes is over the limit of {MAX_EVENT_BYTES}"
        )
    try:
        return decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        field, reason = name_field(str(error))
        return Rejected("invalid", field, reason)


_PATH = re.compile(r"`\$\.?([^`]*)`")
_NAMED = re.compile(r"(?:required|unknown) field `([^`]+)`")


def name_field(message: str) -> tuple[str, str]:
    """The field that a msgspec error message names ("value" if none), and the message on one line."""
    match = _NAMED.search(message) or _PATH.search(message)
    return (match.group(1) if match and match.group(1) else "value"), " ".join(message.split())[:300]
