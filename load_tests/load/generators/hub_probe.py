"""The lag of gevent's hub: how late a greenlet wakes that waits for a time, many times a second."""

import time
from typing import Any, Final

import gevent

from load_tests.load.generators.timer import PreciseTimer

EVERY_S: Final = 0.005


class HubProbe:
    """Measures the hub for as long as it runs: a lag delays sends and the stamps of answers alike."""

    def __init__(self, limit_us: int) -> None:
        self._limit_s = limit_us / 1e6
        self.wakes = 0
        self.over = 0
        """Wakes that were later than the limit."""
        self.max_us = 0
        self._greenlet: Any = None

    def start(self) -> None:
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _run(self) -> None:
        timer = PreciseTimer()
        try:
            while True:
                due_s = time.perf_counter() + EVERY_S
                timer.sleep_until(due_s)
                lag_s = time.perf_counter() - due_s
                self.wakes += 1
                self.over += lag_s > self._limit_s
                self.max_us = max(self.max_us, int(lag_s * 1e6))
        finally:
            timer.close()
