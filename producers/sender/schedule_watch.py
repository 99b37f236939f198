"""Whether the sender keeps its schedule, judged by the second; and saying so while it does not."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from fraudsim.metrics import BEHIND
from producers.sender.schedule import LATE_US, Delays

LATE_SHARE: Final = 0.01
"""A window in which a larger share of the sends was late did not keep the schedule."""
WARN_EVERY_US: Final = 5_000_000
NEXT_STEP: Final = "lower --rate, use FRAUDSIM_SENDER=confluent or more --shards"


class Window(msgspec.Struct, frozen=True):
    """What was sent between two looks at the clock."""

    seconds: float
    sent: int
    achieved_per_s: float
    intended_per_s: float | None
    """By the schedule of what was sent; None where too little was."""
    delay_p99_ms: float | None
    kept: bool


class ScheduleWatch:
    """Takes in each transaction's intended and actual time; `look` closes a window."""

    def __init__(self, log: Any, counts: Mapping[int, int] | None = None, behind_s: float = 0.0) -> None:
        """`log` is a structlog logger; the rest carries on what an earlier start came to."""
        self.delays = Delays(counts)
        """Of all closed windows."""
        self.behind_s = behind_s
        """Wall seconds of the windows in which the schedule was not kept."""
        self._log = log
        self._said = False
        self._say_at_us = 0
        self._open(None)

    def _open(self, from_us: int | None) -> None:
        self._from_us = from_us
        self._window_delays = Delays()
        self._first_us: int | None = None
        self._last_us = 0

    def sent(self, intended_us: int, now_us: int) -> None:
        """A transaction was handed over."""
        self._window_delays.add(now_us - intended_us)
        if self._first_us is None:
            self._first_us = intended_us
        self._last_us = intended_us

    def look(self, now_us: int, next_us: int | None) -> Window | None:
        """Close the window; returns it, None the first time.

        `next_us` is the intended time of the record that is next: while none goes out, it says how far
        behind the sender is. A backlog that grows makes every send late, and needs no rule of its own.
        """
        window = None
        if self._from_us is not None and now_us > self._from_us:
            window = self._window(self._from_us, now_us, next_us)
            self._judge(window, now_us)
        self.delays.take_in(self._window_delays.counts)
        self._open(now_us)
        return window

    def _window(self, from_us: int, now_us: int, next_us: int | None) -> Window:
        delays = self._window_delays
        sent = delays.counts.total()
        span_us = self._last_us - self._first_us if self._first_us is not None else 0
        if sent:
            kept = delays.over(LATE_US) <= LATE_SHARE * sent
        else:
            kept = next_us is None or now_us - next_us <= LATE_US
        # The first window opens before the first transaction is due.
        sending_us = now_us - max(from_us, self._first_us or from_us)
        return Window(
            seconds=(now_us - from_us) / 1e6,
            sent=sent,
            achieved_per_s=round(sent / max(sending_us, 1) * 1e6, 1),
            intended_per_s=round((sent - 1) / span_us * 1e6, 1) if span_us else None,
            delay_p99_ms=delays.quantile_ms(0.99),
            kept=kept,
        )

    def _judge(self, window: Window, now_us: int) -> None:
        if not window.kept:
            self.behind_s += window.seconds
            BEHIND.inc(window.seconds)
            if now_us >= self._say_at_us:
                self._say_at_us = now_us + WARN_EVERY_US
                self._said = True
                self._say(self._log.warning, "the schedule is not kept", window, next_step=NEXT_STEP)
        elif self._said:
            self._said = False
            self._say(self._log.info, "the schedule is kept again", window)

    def _say(self, say: Callable[..., Any], event: str, window: Window, **more: Any) -> None:
        say(
            event,
            achieved_per_s=window.achieved_per_s,
            intended_per_s=window.intended_per_s,
            delay_p99_ms=window.delay_p99_ms,
            behind_s=round(self.behind_s, 1),
            **more,
        )
