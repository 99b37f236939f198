"""A service outside this process that decisions depend on: called with a time limit, behind a breaker."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, NamedTuple, TypeVar

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from fraudsim import metrics
from scorer.resilience.breaker import STATES, Breaker
from stream_features.online.reader import NotPrimedError

PROBE_TIMEOUT_S: Final = 0.2
"""Longest wait for a probe's answer."""
MIN_FAIR_WAIT_S: Final = 0.01
"""A call that could wait less than this is no evidence that the service is slow."""
LOOP_LAG_S: Final = 0.01
GRACE_S: Final = 0.01
"""Where this event loop was late by LOOP_LAG_S, an answer gets this much longer, and its absence is not
counted as a failure."""

MAX_ABANDONED: Final = 64

T = TypeVar("T")
Reason = Literal["slow", "gone", "full", "not_primed", "no_time"]


class AwayError(Exception):
    """The service did not answer, or not in time."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Dependency:
    """Redis in one of its roles, behind a breaker of its own."""

    def __init__(self, name: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self.breaker = Breaker()
        self._name = name
        self.trip_reason: Reason = "gone"
        """Why the breaker opened last."""
        self._now_s = now_s
        self._abandoned: set[asyncio.Future[Any]] = set()
        """Calls that exceeded their limit and still run."""
        self._gauge = metrics.BREAKER.labels(name)
        self._gauge.set(0)
        for reason in ("slow", "gone", "full"):
            metrics.REDIS_FAILURES.labels(name, reason)  # a rate of none is 0 and not unknown

    @property
    def away(self) -> Reason | None:
        """Why the service is not called at present; None where it is."""
        return None if self.breaker.closed else self.trip_reason

    async def call(self, work: Callable[[], Awaitable[T]], until_s: float) -> T:
        """The result of `work`, by `until_s` on the clock `now_s`.

        Raises:
            AwayError: it failed, took too long (it keeps running, its result is dropped), or the breaker is
                open.
        """
        if self.away is not None:
            raise AwayError(self.away)
        if until_s <= self._now_s() or len(self._abandoned) >= MAX_ABANDONED:
            raise AwayError("no_time")  # the time went elsewhere, as in the queue; or too many calls hang
        return await self._call(work, until_s)

    async def probe(self, work: Callable[[], Awaitable[T]], wait_s: float = PROBE_TIMEOUT_S) -> None:
        """Call `work` if a probe is due, also where the breaker is open.

        Raises:
            AwayError: as `call`.
        """
        now_s = self._now_s()
        if self.breaker.take_probe(now_s):
            self._gauge.set(STATES.index(self.breaker.state))
            await self._call(work, now_s + wait_s)

    async def _call(self, work: Callable[[], Awaitable[T]], until_s: float) -> T:
        task = asyncio.ensure_future(work())
        wait_s = until_s - self._now_s()
        try:
            if not task.done():
                await asyncio.wait((task,), timeout=max(0.0, wait_s))
            loop_was_late = self._now_s() - until_s > LOOP_LAG_S
            if not task.done() and loop_was_late:
                await asyncio.wait((task,), timeout=GRACE_S)
            if not task.done():
                fair = wait_s >= MIN_FAIR_WAIT_S and not loop_was_late
                raise self._failure("slow") if fair else AwayError("no_time")
            result = task.result()
        except NotPrimedError:
            self.trip_reason = "not_primed"
            self.breaker.trip(self._now_s())
            self._gauge.set(STATES.index(self.breaker.state))
            raise AwayError("not_primed") from None
        except (RedisError, OSError) as error:
            raise self._failure(_reason(error)) from error
        finally:
            if not task.done():
                # Not cancelled: that would close its connection, and under load reconnecting costs most.
                self._abandoned.add(task)
                task.add_done_callback(self._forget)
        self.breaker.record_success()
        self._gauge.set(0)
        return result

    def _failure(self, reason: Reason) -> AwayError:
        metrics.REDIS_FAILURES.labels(self._name, reason).inc()
        self.breaker.record_failure(self._now_s())
        self.trip_reason = reason
        self._gauge.set(STATES.index(self.breaker.state))
        return AwayError(reason)

    def _forget(self, task: "asyncio.Future[Any]") -> None:
        """Retrieve the exception, else asyncio logs that it never was."""
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()


def _reason(error: RedisError | OSError) -> Reason:
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return "slow"
    return "full" if str(error).startswith("OOM ") else "gone"


class Dependencies(NamedTuple):
    """What decisions ask Redis for, each guarded apart, and how long a batch of the stream may wait."""

    state: Dependency
    """Of features."""
    limits: Dependency
    """Daily ones of a policy."""
    state_wait_s: float
