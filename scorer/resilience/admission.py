"""Admission control: a bounded number of requests at once, behind them a queue bounded in length and time."""

import asyncio
import time
from collections import deque
from typing import Final

from fraudsim import metrics

QUEUE_PER_PERMIT: Final = 4
BUSY_SHARE: Final = 4
"""With less than one in this many permits in use, the requests are not what makes the event loop late."""
TICK_S: Final = 0.01


class Admission:
    """A fixed number of permits; a request that gets none within `max_wait_s` is shed."""

    def __init__(self, permits: int, max_wait_s: float) -> None:
        self._permits = permits
        self._free = permits
        self._loop_lag_s = 0.0
        """How late the event loop is: a request has already waited this long before it is read."""
        self._max_waiting = QUEUE_PER_PERMIT * permits
        self._max_wait_s = max_wait_s
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def watch(self) -> None:
        """Measure the lag of the event loop, for ever."""
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(TICK_S)
            self._loop_lag_s = time.monotonic() - before_s - TICK_S

    async def acquire(self) -> bool:
        """Wait for a permit; if True, `release` must follow."""
        if self._loop_lag_s > self._max_wait_s and self._permits - self._free >= self._permits / BUSY_SHARE:
            metrics.SHED.labels("loop_late").inc()
            return False
        if self._free and not self._waiting:
            self._free -= 1
            return True
        if len(self._waiting) >= self._max_waiting:
            metrics.SHED.labels("queue_full").inc()
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait((turn,), timeout=self._max_wait_s)
        except asyncio.CancelledError:
            self._withdraw(turn)
            raise
        if turn.done():
            return True
        self._withdraw(turn)
        metrics.SHED.labels("queue_age").inc()
        return False

    def release(self) -> None:
        """Hand the permit to the request that has waited longest."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1

    def _withdraw(self, turn: asyncio.Future[None]) -> None:
        if turn.done():
            self.release()
        else:
            self._waiting.remove(turn)
