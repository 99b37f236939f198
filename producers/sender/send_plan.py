"""What a sender is asked to do, and how it is stopped and watched."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from producers.sender.send_report import SendReport
from producers.sources.source import Item

React = Callable[[Item], Item | None]
"""Returns a record as it is to be sent; None to leave it out."""


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
    react: React | None = None
    """Called just before a record is sent; may change it or leave it out."""


@dataclass(frozen=True, kw_only=True)
class SendControl:
    """How a sender is stopped, whom it tells how far it is, and what earlier starts have done."""

    stop: threading.Event
    """Set it to stop early; outstanding records are flushed."""
    on_progress: Callable[[SendReport], None] | None = None
    """Called every second."""
    earlier: SendReport | None = None
    """The report of the previous start, whose figures are carried on."""
