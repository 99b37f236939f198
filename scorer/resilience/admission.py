"""Who is let in: a bounded number at once, a bounded queue behind them, and nobody waits there for long."""

import asyncio
import time
from collections import deque
from typing import Final

from fraudsim import metrics

QUEUE_PER_PLACE: Final = 4
BUSY_SHARE: Final = 4
"""With less than one in so many places taken, a late event loop is not this door's doing."""
TICK_S: Final = 0.01


class Admission:
    """A door with so many places; whoever finds no place within `longest_s` is turned away."""

    def __init__(self, places: int, longest_s: float) -> None:
        self._places = places
        self._free = places
        self._late_s = 0.0
        """By how much the event loop is late: so long has a request waited before anybody saw it."""
        self._most_waiting = QUEUE_PER_PLACE * places
        self._longest_s = longest_s
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def watch(self) -> None:
        """See for ever how late the event loop is."""
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(TICK_S)
            self._late_s = time.monotonic() - before_s - TICK_S

    async def enter(self) -> bool:
        """Whether there is a place; then `leave` must follow."""
        if self._late_s > self._longest_s and self._places - self._free >= self._places / BUSY_SHARE:
            metrics.SHED.labels("loop_late").inc()
            return False
        if self._free and not self._waiting:
            self._free -= 1
            return True
        if len(self._waiting) >= self._most_waiting:
            metrics.SHED.labels("queue_full").inc()
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait((turn,), timeout=self._longest_s)
        except asyncio.CancelledError:
            self._withdraw(turn)
            raise
        if turn.done():
            return True
        self._withdraw(turn)
        metrics.SHED.labels("queue_age").inc()
        return False

    def leave(self) -> None:
        """Give the place to whoever has waited longest."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1

    def _withdraw(self, turn: asyncio.Future[None]) -> None:
        if turn.done():
            self.leave()
        else:
            self._waiting.remove(turn)
