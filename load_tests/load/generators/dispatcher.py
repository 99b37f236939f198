"""Hands each request of a worker's share to a free sender when it is due: the schedule is no property of users."""

import time
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import AsyncResult, Event

from fraudsim.arrays import Ints
from load_tests.load.generators.timer import PreciseTimer


@dataclass(frozen=True, slots=True)
class DueRequest:
    """A request that is due, for the sender that takes it."""

    number: int
    intended_us: int
    free_us: int
    """Since when the sender that had been free longest was free."""


class SteadyClock:
    """Wall clock µs that no step of the wall clock moves: the steady clock, set once."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.perf_counter()

    def now_us(self) -> int:
        return int((time.perf_counter() + self._offset_s) * 1e6)

    def steady_s(self, wall_us: float) -> float:
        """The time of `time.perf_counter` at a wall clock time."""
        return wall_us / 1e6 - self._offset_s


class _FreeSender:
    __slots__ = ("result", "since_us")

    def __init__(self, since_us: int) -> None:
        self.since_us = since_us
        self.result: AsyncResult = AsyncResult()


class Dispatcher:
    """The senders that are free, and the requests that are due.

    The sender that became free last sends next, so that few connections are in use and stay open; with none
    free, due requests wait in their order.
    """

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock
        self._free: list[_FreeSender] = []
        self._some_free = Event()
        self.handed_over = 0
        self.exhausted = Event()
        """Set when every request of the share has been handed to a sender."""
        self._greenlet: Any = None

    @property
    def free_count(self) -> int:
        return len(self._free)

    def next_request(self) -> DueRequest:
        """Wait as a free sender for a request. It never returns after the last one."""
        sender = _FreeSender(self._clock.now_us())
        self._free.append(sender)
        self._some_free.set()
        request: DueRequest = sender.result.get()
        return request

    def start(self, numbers: Ints, offsets_us: Ints, start_us: int) -> None:
        """Begin to hand over a share.

        Args:
            numbers: the numbers of the share's requests, ascending.
            offsets_us: the whole schedule, µs since the start.
            start_us: wall clock time of the start.
        """
        self._greenlet = gevent.spawn(self._run, numbers, offsets_us, start_us)

    def stop(self) -> None:
        """Hand over no more."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def _run(self, numbers: Ints, offsets_us: Ints, start_us: int) -> None:
        timer = PreciseTimer()
        try:
            for number in numbers:
                intended_us = start_us + int(offsets_us[number])
                timer.sleep_until(self._clock.steady_s(intended_us))
                while not self._free:
                    self._some_free.clear()
                    self._some_free.wait()
                longest_free_us = self._free[0].since_us
                self._free.pop().result.set(DueRequest(int(number), intended_us, longest_free_us))
                self.handed_over += 1
        finally:
            timer.close()
        self.exhausted.set()
