"""Monitoring of the sender's schedule: whether it is kept, second by second, and warnings while it is not."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from fraudsim.metrics import BEHIND
from producers.sender.schedule import LATE_US, DelayHistogram

LATE_SHARE: Final = 0.01
"""The schedule is not kept in a window in which a larger share of the sends was late."""
WARN_EVERY_US: Final = 5_000_000
NEXT_STEP: Final = "lower --rate, use FRAUDSIM_SENDER=confluent or more --shards"


class ScheduleWindow(msgspec.Struct, frozen=True):
    """The sends between two calls of `ScheduleMonitor.close_window`."""

    seconds: float
    sent: int
    achieved_per_s: float
    intended_per_s: float | None
    """The rate of the intended times; None if fewer than two of them differ."""
    delay_p90_ms: float | None
    delay_p99_ms: float | None
    kept: bool


class ScheduleMonitor:
    """Counts each transaction's delay; warns when a window did not keep the schedule."""

    def __init__(self, log: Any, counts: Mapping[int, int] | None = None, behind_s: float = 0.0) -> None:
        """
        Args:
            log: a structlog logger.
            counts: delay counts of earlier starts, carried on.
            behind_s: `behind_s` of earlier starts, carried on.
        """
        self.delays = DelayHistogram(counts)
        """Of all closed windows."""
        self.behind_s = behind_s
        """Wall seconds of the windows in which the schedule was not kept."""
        self._log = log
        self._warned = False
        self._next_warning_us = 0
        self._open_window(None)

    def _open_window(self, opened_us: int | None) -> None:
        self._opened_us = opened_us
        self._window_delays = DelayHistogram()
        self._first_intended_us: int | None = None
        self._last_intended_us = 0

    def add_send(self, intended_us: int, sent_us: int) -> None:
        """Count a transaction that was handed over."""
        self._window_delays.add(sent_us - intended_us)
        if self._first_intended_us is None:
            self._first_intended_us = intended_us
        self._last_intended_us = intended_us

    def close_window(self, now_us: int, next_intended_us: int | None) -> ScheduleWindow | None:
        """Close the window and open the next.

        Args:
            now_us: wall time.
            next_intended_us: intended time of the next record. If nothing was sent in the window, it says how
                far behind the sender is. A growing backlog makes every send late and needs no extra rule.

        Returns:
            The closed window; None at the first call.
        """
        window = None
        if self._opened_us is not None and now_us > self._opened_us:
            window = self._summarise(self._opened_us, now_us, next_intended_us)
            self._report(window, now_us)
        self.delays.merge(self._window_delays.counts)
        self._open_window(now_us)
        return window

    def _summarise(self, opened_us: int, now_us: int, next_intended_us: int | None) -> ScheduleWindow:
        delays = self._window_delays
        sent = delays.counts.total()
        first_us = self._first_intended_us
        span_us = self._last_intended_us - first_us if first_us is not None else 0
        if sent:
            kept = delays.over(LATE_US) <= LATE_SHARE * sent
        else:
            kept = next_intended_us is None or now_us - next_intended_us <= LATE_US
        # The first window opens before the first transaction is due.
        sending_us = now_us - max(opened_us, first_us or opened_us)
        return ScheduleWindow(
            seconds=(now_us - opened_us) / 1e6,
            sent=sent,
            achieved_per_s=round(sent / max(sending_us, 1) * 1e6, 1),
            intended_per_s=round((sent - 1) / span_us * 1e6, 1) if span_us else None,
            delay_p90_ms=delays.quantile_ms(0.9),
            delay_p99_ms=delays.quantile_ms(0.99),
            kept=kept,
        )

    def _report(self, window: ScheduleWindow, now_us: int) -> None:
        if not window.kept:
            self.behind_s += window.seconds
            BEHIND.inc(window.seconds)
            if now_us >= self._next_warning_us:
                self._next_warning_us = now_us + WARN_EVERY_US
                self._warned = True
                self._write(self._log.warning, "the schedule is not kept", window, next_step=NEXT_STEP)
        elif self._warned:
            self._warned = False
            self._write(self._log.info, "the schedule is kept again", window)

    def _write(self, write: Callable[..., Any], event: str, window: ScheduleWindow, **fields: Any) -> None:
        write(
            event,
            achieved_per_s=window.achieved_per_s,
            intended_per_s=window.intended_per_s,
            delay_p99_ms=window.delay_p99_ms,
            behind_s=round(self.behind_s, 1),
            **fields,
        )
