"""Hands each request of a worker's share to a free sender when it is due: users have no schedule."""

import time
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent.event import AsyncResult, Event

from fraudsim.arrays import Ints
from load_tests.load.generators.timer import PreciseTimer

NEVER_US: Final = 1 << 62


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

    A sender that becomes free takes a request that is due already, so that many answers at once do not make
    the next send late; else it waits, and the one that became free last sends next, so that few connections
    are in use and stay open. With none free, due requests wait in their order.
    """

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock
        self._free: list[_FreeSender] = []
        self._some_free = Event()
        self._numbers: list[int] = []
        self._intended_us: list[int] = []
        self.handed_over = 0
        """Requests of the share that senders have taken: always the first ones."""
        self.exhausted = Event()
        """Set when the whole share has been handed to senders."""
        self._greenlet: Any = None

    def next_request(self) -> DueRequest:
        """Wait as a free sender for a request. It never returns after the last one."""
        now_us = self._clock.now_us()
        if self._due_us() <= now_us:
            return self._take(min(now_us, self._longest_free_us(now_us)))
        sender = _FreeSender(now_us)
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
        self._numbers = numbers.tolist()
        self._intended_us = (offsets_us[numbers] + start_us).tolist()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Hand over no more."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        self._intended_us = self._intended_us[: self.handed_over]

    def _run(self) -> None:
        timer = PreciseTimer()
        try:
            while (due_us := self._due_us()) < NEVER_US:
                timer.sleep_until(self._clock.steady_s(due_us))
                if self._due_us() != due_us:
                    continue  # a sender that became free has taken it
                if not self._free:
                    self._some_free.clear()
                    self._some_free.wait()
                    continue
                longest_free_us = self._free[0].since_us
                self._free.pop().result.set(self._take(longest_free_us))
        finally:
            timer.close()
        self.exhausted.set()

    def _due_us(self) -> int:
        """When the next request is due."""
        index = self.handed_over
        return self._intended_us[index] if index < len(self._intended_us) else NEVER_US

    def _longest_free_us(self, default_us: int) -> int:
        return self._free[0].since_us if self._free else default_us

    def _take(self, free_us: int) -> DueRequest:
        index = self.handed_over
        self.handed_over += 1
        if self.handed_over == len(self._intended_us):
            self._some_free.set()  # the dispatcher may wait for a sender, and has nothing left to hand over
        return DueRequest(self._numbers[index], self._intended_us[index], free_us)
