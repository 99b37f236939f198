"""The report of a sender, over all starts of one source."""

import msgspec

from fraudsim.log.events import Segment


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
    left_out: dict[str, list[int]] = {}
    """Ordinals per topic of records that were not sent, because their campaign had ended before them."""
