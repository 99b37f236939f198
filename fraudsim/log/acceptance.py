"""What counts, decided by the log alone: which records are valid, and which are the first of their id.

Every worker, scorer, engine and rebuild asks the same `Acceptance`, so all decide alike. Its only memory
is the ids of the previous 50,000 offsets of each partition: whoever begins elsewhere reads that many first,
unless they are remembered from a reading before.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

import msgspec

from fraudsim.log import headers as h
from fraudsim.log.clock import Clock, event_time_ms
from fraudsim.log.events import (
    MAX_EVENT_BYTES,
    Label,
    Transaction,
    decode_decision,
    decode_label,
    decode_transaction,
)
from fraudsim.log.topics import LABELS, TRANSACTIONS

UNIQUE_WITHIN: Final = 50_000
"""Offsets of one partition within which an id must be unique."""
GO_BACK: Final = 25_000
"""Offsets by which reading can go back without losing its memory."""
UNREADABLE_HEADERS: Final = "unreadable-headers"
"""Stands for all headers of a record where the name of one is not UTF-8; its value is their bytes."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a record does not count. Invalid ones are dead letters; duplicates are only counted."""

    kind: Literal["invalid", "duplicate"]
    field: str
    reason: str
    tx_id: str = ""
    """Of a duplicate."""


HEADERS_REJECTED: Final = Rejected("invalid", "headers", "the name of a header is not UTF-8")
"""A record with `UNREADABLE_HEADERS`."""


@dataclass(slots=True)
class _Seen:
    """Ids borne by valid records of one stretch of a partition."""

    first: int
    """Where the stretch begins."""
    end: int
    """Next offset to be judged."""
    last: dict[Hashable, int] = field(default_factory=dict)
    """Last offset of each id."""
    order: deque[tuple[int, Hashable]] = field(default_factory=deque)

    def is_repeat(self, key: Hashable, offset: int) -> bool:
        last, order = self.last, self.order
        before = last.get(key)
        last[key] = offset
        order.append((offset, key))
        self.first = max(self.first, offset - UNIQUE_WITHIN - GO_BACK)
        while order[0][0] < self.first:
            old_offset, old_key = order.popleft()
            if last[old_key] == old_offset:
                del last[old_key]
        return before is not None and before >= offset - UNIQUE_WITHIN

    def go_back(self, offset: int) -> None:
        """Forget what was judged from an offset on."""
        if offset < self.end:
            self.order = deque(item for item in self.order if item[0] < offset)
            self.last = {key: at for at, key in self.order}
            self.end = offset


class Acceptance:
    """Decides what counts. Records of a partition must come in offset order, without gaps, from `begin` on.

    `refresh` reads `run.clock` to its end into `clock`; it is called when a record names a segment
    that is not known yet.
    """

    def __init__(self, clock: Clock, refresh: Callable[[], None] = lambda: None) -> None:
        self.clock = clock
        self._refresh = refresh
        self._refreshed_ms = 0.0
        self._seen: dict[tuple[str, int], _Seen] = {}

    def begin(self, topic: str, partition: int, first: int, log_begin: int) -> int:
        """Be ready for a partition from offset `first` on, of a log that holds it from `log_begin` on.

        Returns the offset to read from: `first` itself where what it takes to tell repeats is remembered.
        """
        reach = max(log_begin, first - UNIQUE_WITHIN)
        seen = self._seen.get((topic, partition))
        if seen is not None and seen.first <= reach and first <= seen.end:
            seen.go_back(first)
            return first
        self._seen[topic, partition] = _Seen(reach, reach)
        return reach

    def whole_from(self, topic: str, partition: int) -> int:
        """First offset of which all that follows is remembered."""
        return self._seen[topic, partition].first

    def transaction(
        self, partition: int, offset: int, broker_ts_ms: int, headers: h.Headers, value: bytes | None
    ) -> Transaction | Rejected:
        """The transaction if it counts, else why not."""
        seen = self._at(TRANSACTIONS, partition, offset)
        event = read_event(value, decode_transaction)
        if isinstance(event, Rejected):
            return event
        # HTTP answered on its own receive stamp, so that stamp decides: what was answered counts.
        arrived = broker_ts_ms
        given = h.header(headers, h.DECISION)
        if given is not None:
            decision = read_event(given, decode_decision)
            if isinstance(decision, Rejected) or (decision.tx_id, decision.card_id) != (
                event.tx_id,
                event.card_id,
            ):
                return Rejected(
                    "invalid", h.DECISION, "header decision is not a decision of this transaction"
                )
            arrived = h.int_header(headers, h.RECEIVED) or broker_ts_ms
        late = self._out_of_time(event.ts, "ts", arrived, broker_ts_ms, headers)
        if late is not None:
            return late
        if seen.is_repeat(event.tx_id, offset):
            return Rejected(
                "duplicate", "tx_id", f"tx_id {event.tx_id} stands among the previous records", event.tx_id
            )
        return event

    def label(
        self, partition: int, offset: int, broker_ts_ms: int, headers: h.Headers, value: bytes | None
    ) -> Label | Rejected:
        """The label if it counts, else why not."""
        seen = self._at(LABELS, partition, offset)
        event = read_event(value, decode_label)
        if isinstance(event, Rejected):
            return event
        late = self._out_of_time(event.known_at, "known_at", broker_ts_ms, broker_ts_ms, headers)
        if late is not None:
            return late
        if seen.is_repeat((event.tx_id, event.source, event.known_at), offset):
            return Rejected("duplicate", "tx_id", f"the same label of {event.tx_id} stands before")
        return event

    def _at(self, topic: str, partition: int, offset: int) -> _Seen:
        """The memory of a partition whose record `offset` is judged now."""
        seen = self._seen.get((topic, partition))
        if seen is None:
            seen = self._seen[topic, partition] = _Seen(offset, offset)
        seen.end = offset + 1
        return seen

    def _out_of_time(
        self, event_ms: int, field: str, arrived_ms: int, broker_ts_ms: int, headers: h.Headers
    ) -> Rejected | None:
        number = h.int_header(headers, h.SEGMENT)
        if number is None:
            if h.header(headers, UNREADABLE_HEADERS) is not None:
                return HEADERS_REJECTED
            return Rejected("invalid", "segment", "header segment is missing or not a number")
        segment = self.clock.segment(number, broker_ts_ms)
        if segment is None and self._may_have_grown(broker_ts_ms):
            self._refreshed_ms = time.time() * 1000
            self._refresh()
            segment = self.clock.segment(number, broker_ts_ms)
        if segment is None:
            return Rejected("invalid", "segment", f"header segment={number} is not in force in run.clock")
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
                f"{field}={event_ms} is {arrival - event_ms} ms behind its arrival, "
                f"more than {segment.past_ms}",
            )
        return None

    def _may_have_grown(self, broker_ts_ms: int) -> bool:
        # A record older than the last look (less 0.1 s for clocks that differ) cannot name a newer segment:
        # so the records of one poll make for one look, or two.
        return broker_ts_ms + 100 > self._refreshed_ms


E = TypeVar("E")


def read_event(value: bytes | None, decode: Callable[[bytes], E]) -> E | Rejected:
    """Decode one value; what cannot be read names the field."""
    if value is None:
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
_NAMED = re.compile(r"required field `([^`]+)`")


def name_field(message: str) -> tuple[str, str]:
    """The field that a msgspec message speaks of, and the message on one line."""
    found = _NAMED.search(message) or _PATH.search(message)
    return (found.group(1) if found and found.group(1) else "value"), " ".join(message.split())[:300]
