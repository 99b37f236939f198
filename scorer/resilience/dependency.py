"""What a decision leans on outside this process: asked within a limit, and not at all while it is gone."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeVar

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fraudsim import metrics
from scorer.resilience.breaker import STATES, Breaker
from stream_features.online.reader import NotPrimedError

PROBE_S: Final = 0.2
"""Longest wait for a probe's answer."""
FAIR_S: Final = 0.01
"""Who had less time than this to wait cannot say that it was slow."""
HELD_UP_S: Final = 0.01
MOMENT_S: Final = 0.01
"""Where this process itself was held up past the limit, an answer is granted this much longer, unblamed."""

MOST_LEFT: Final = 64

T = TypeVar("T")
Reason = Literal["slow", "gone", "not_primed", "no_time"]


class AwayError(Exception):
    """There is no answer, or not in time."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Dependency:
    """Redis in one of its roles, behind a breaker of its own."""

    def __init__(self, name: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self.breaker = Breaker()
        self.why: Reason = "gone"
        """Why the breaker opened last."""
        self._now_s = now_s
        self._left: set[asyncio.Future[Any]] = set()
        """Work that took too long and goes on."""
        self._gauge = metrics.BREAKER.labels(name)
        self._gauge.set(0)

    @property
    def away(self) -> Reason | None:
        """Why it is not asked at present; None where it is."""
        return None if self.breaker.closed else self.why

    async def ask(self, work: Callable[[], Awaitable[T]], until_s: float) -> T:
        """The result of `work`, or by `until_s` (of `now_s`) an error.

        Raises:
            AwayError: it failed, took too long (it goes on, unheeded), or the breaker is open.
        """
        if self.away is not None:
            raise AwayError(self.away)
        if until_s <= self._now_s() or len(self._left) >= MOST_LEFT:
            raise AwayError("no_time")  # spent elsewhere, such as in the queue; or too many wait already
        return await self._try(work, until_s)

    async def probe(self, work: Callable[[], Awaitable[T]], wait_s: float = PROBE_S) -> None:
        """Try `work`, also where the breaker is open, if the time for a probe has come.

        Raises:
            AwayError: as `ask`.
        """
        now_s = self._now_s()
        if self.breaker.take_probe(now_s):
            self._gauge.set(STATES.index(self.breaker.state))
            await self._try(work, now_s + wait_s)

    async def _try(self, work: Callable[[], Awaitable[T]], until_s: float) -> T:
        task = asyncio.ensure_future(work())
        waiting_s = until_s - self._now_s()
        try:
            if not task.done():
                await asyncio.wait((task,), timeout=max(0.0, waiting_s))
            held_up = self._now_s() - until_s > HELD_UP_S
            if not task.done() and held_up:
                await asyncio.wait((task,), timeout=MOMENT_S)
            if not task.done():
                fair = waiting_s >= FAIR_S and not held_up
                raise self._failed("slow") if fair else AwayError("no_time")
            result = task.result()
        except NotPrimedError:
            self.why = "not_primed"
            self.breaker.trip(self._now_s())
            self._gauge.set(STATES.index(self.breaker.state))
            raise AwayError("not_primed") from None
        except (RedisError, OSError) as error:
            slow = isinstance(error, TimeoutError | RedisTimeoutError)
            raise self._failed("slow" if slow else "gone") from error
        finally:
            if not task.done():
                # Not cancelled: that would close its connection, and under load the new ones cost the most.
                self._left.add(task)
                task.add_done_callback(self._forget)
        self.breaker.succeeded()
        self._gauge.set(0)
        return result

    def _failed(self, reason: Reason) -> AwayError:
        self.breaker.failed(self._now_s())
        self.why = reason
        self._gauge.set(STATES.index(self.breaker.state))
        return AwayError(reason)

    def _forget(self, task: "asyncio.Future[Any]") -> None:
        """Whatever it came to, nobody waits for it any more."""
        self._left.discard(task)
        if not task.cancelled():
            task.exception()
