"""A clock segment and records as they are in the log, made by hand."""

from types import SimpleNamespace
from typing import Any, Final

from fraudsim.log.events import Segment, Transaction, encoder

LogPosition = tuple[int, int]
"""(partition, offset)."""

T0: Final = 1_700_000_000_000
"""Event time and broker time of these samples, in milliseconds."""


def make_segment(**changes: Any) -> Segment:
    """The first segment of a log at speed 1, with limits on event time that tests seldom reach."""
    fields: dict[str, Any] = {
        "log_id": "log",
        "number": 0,
        "event_epoch_ms": T0,
        "wall_epoch_ms": T0,
        "speed": 1.0,
        "past_ms": 600_000,
        "future_ms": 60_000,
        "horizon_ms": 120_000,
    }
    return Segment(**{**fields, **changes})


def make_record(offset: int) -> SimpleNamespace:
    """A transaction of segment 0 as a consumer delivers it."""
    tx = Transaction(tx_id=f"t{offset}", ts=T0, card_id="c", amount_cents=1)
    headers = (("segment", b"0"),)
    return SimpleNamespace(
        offset=offset, timestamp=T0, headers=headers, key=None, value=encoder.encode(tx), partition=0
    )
