"""What a sender is asked to do, how it is stopped and watched, and what it reports."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from fraudsim.log.events import Segment
from producers.sources.source import Item

React = Callable[[Item], Item | None]
"""Returns a record as it is to be sent; None to leave it out."""


Retries = Callable[[int], Sequence[Item]]
"""Returns the transactions that are tried again by an event time (ms)."""


class LiveControls(Protocol):
    """What somebody asks of a sender while it sends."""

    @property
    def share(self) -> float:
        """Of the plan's speed."""
        ...

    @property
    def paused(self) -> bool: ...

    @property
    def has_added(self) -> bool:
        """Whether `take_added` has records to give, or nothing to wait for any more."""
        ...

    def take_added(self) -> Sequence[Item]:
        """The records that have become part of the stream since the last call."""
        ...

    def may_pass(self, due_ms: int, logged_to_ms: int | None) -> bool:
        """Whether a record due then may be sent now, so that nothing is added before it any more.

        Args:
            logged_to_ms: event time up to which the log held records at the start; None while it is unknown.
        """
        ...

    def applied(self, item: Item) -> Item:
        """The record as it is to be sent."""
        ...


class SendReport(msgspec.Struct, kw_only=True):
    """What a sender sent, over all starts of one source for which an earlier report was passed on."""

    source: str
    speed: float
    seconds: float | None
    starts: int
    complete: bool
    """Everything up to the end of the live stream is in the log."""
    records: dict[str, int]
    """Records of the source per topic that are in the log (those of the last second may be outstanding)."""
    transactions_timed: int
    late: int
    """Transactions handed over more than `schedule.LATE_US` after their intended time."""
    behind_s: float = 0.0
    """Wall seconds in which more than 1 % of the transactions were late, or none was sent though due."""
    delay_p50_ms: float | None
    delay_p99_ms: float | None
    """Hand-over to the client minus intended time, transactions only."""
    delay_us_counts: dict[int, int]
    """The distribution of that delay: µs (three significant digits) → transactions."""
    segments: list[Segment]
    """Appended to the clock by the sender."""
    tick_ms: float | None = None
    """The sender's latest tick: half of it is in the median latency."""
    left_out: dict[str, list[int]] = {}
    """Ordinals per topic of records that were not sent: their campaign had ended, or their customer left."""
    retried: int = 0
    """Transactions beyond the source's: stopped payments that customers tried again."""


@dataclass(frozen=True, kw_only=True)
class SendPlan:
    """What is sent of a source, how fast, and to which topics."""

    speed: float
    """Event milliseconds per wall millisecond."""
    seconds: float | None = None
    """Wall seconds of live traffic: the stream ends at start_ms + seconds · speed in event time, however
    often the sender was killed. None sends until the source ends."""
    prefix: str = ""
    """Of the topics' names; the clock must be of the same prefix."""
    processes: int = 1
    """Senders of the log that share this machine's cores."""
    react: React | None = None
    """Called just before a record is sent; may change it or leave it out."""
    retries: Retries | None = None
    """Called after `react`; what it returns is sent before the record, and is no part of the source."""
    track: Callable[[Item], None] | None = None
    """Called with each record that the controls add."""
    controls: LiveControls | None = None
    """Changes what is sent, and how fast, while it is sent."""


@dataclass(frozen=True, kw_only=True)
class SendControl:
    """How a sender is stopped, whom it tells how far it is, and what earlier starts have done."""

    stop: threading.Event
    """Set it to stop early; outstanding records are flushed."""
    on_progress: Callable[[SendReport], None] | None = None
    """Called every second."""
    earlier: SendReport | None = None
    """The report of the previous start, whose figures are carried on."""
