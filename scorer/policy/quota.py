"""Places in the limits of a day, reserved by tx_id: asked for again, a transaction keeps the place it has.

So many reviews a day are what the analysts can do; declines may be a share of what was decided on that day.
Days are of event time. Places are never given back: whoever wants one gets the next that is left.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from redis.asyncio import Redis

from fraudsim.log.events import Transaction
from scorer.policy.policy import DECLINE, REVIEW, Limit, Limits, Opinion, Policy
from stream_features.catalogue.features import DAY

KEPT_S: Final = 172_800
"""Wall time after which a day that nobody asks about any more is forgotten."""
UNKNOWN: Final = "limits_away"
"""Why there is no place where Redis does not answer: what must not be exceeded is taken to be used up."""
MOST_DAYS: Final = 16
_ACTION: Final[dict[Limit, int]] = {"review": REVIEW, "decline": DECLINE}
_REASON: Final[dict[Limit, str]] = {"review": "reviews_per_day", "decline": "declined_share_of_day"}

TAKE: Final = f"""
local decided = redis.call('INCRBY', KEYS[2], ARGV[3])
local most = tonumber(ARGV[1])
if ARGV[2] ~= '' then most = math.floor(tonumber(ARGV[2]) * decided) end
local given = {{}}
for i = 4, #ARGV do
  if redis.call('SISMEMBER', KEYS[1], ARGV[i]) == 1 then given[i - 3] = 1
  elseif redis.call('SCARD', KEYS[1]) < most then redis.call('SADD', KEYS[1], ARGV[i]) given[i - 3] = 1
  else given[i - 3] = 0 end
end
redis.call('EXPIRE', KEYS[1], {KEPT_S})
redis.call('EXPIRE', KEYS[2], {KEPT_S})
return given
"""


Take = Callable[[Limit, int, Sequence[str]], Awaitable[list[bool] | None]]
"""Asks for places of a day by tx_id: whether each has one, or None where that cannot be told."""


async def hold_places(policy: Policy, opinions: Sequence[tuple[Transaction, Opinion]], take: Take) -> None:
    """See that whatever is wanted has its place; where there is none left, the next best is wanted."""
    unsettled = opinions
    while unsettled:
        asking: defaultdict[tuple[Limit, int], list[tuple[Transaction, Opinion]]] = defaultdict(list)
        for tx, opinion in unsettled:
            limit = policy.asks_for(tx, opinion)
            if limit is not None:
                asking[limit, tx.ts // DAY].append((tx, opinion))
        unsettled = []
        for (limit, day), those in asking.items():
            given = await take(limit, day, [tx.tx_id for tx, _ in those])
            reason = UNKNOWN if given is None else _REASON[limit]
            for (tx, opinion), place in zip(those, given or [False] * len(those), strict=True):
                if not place:
                    opinion.bar(_ACTION[limit], reason)
                    unsettled.append((tx, opinion))


class Places(Protocol):
    """Where places are kept."""

    def decided(self, day: int, count: int) -> None:
        """So many more were decided on a day."""

    async def take(self, limits: Limits, limit: Limit, day: int, tx_ids: Sequence[str]) -> list[bool]:
        """Whether each has a place now."""


class LocalQuota:
    """In memory: for dry runs, and for tests."""

    def __init__(self) -> None:
        self._decided: Counter[int] = Counter()
        self._taken: defaultdict[tuple[Limit, int], set[str]] = defaultdict(set)

    def decided(self, day: int, count: int) -> None:
        self._decided[day] += count

    async def take(self, limits: Limits, limit: Limit, day: int, tx_ids: Sequence[str]) -> list[bool]:
        taken = self._taken[limit, day]
        most = limits.reviews_per_day or 0
        if limit == "decline":
            most = math.floor((limits.declined_share_of_day or 0.0) * self._decided[day])
        given = []
        for tx_id in tx_ids:
            if tx_id in taken or len(taken) < most:
                taken.add(tx_id)
            given.append(tx_id in taken)
        return given


class RedisQuota:
    """Shared by all scorers of a log. What is decided is told with the next request for a place."""

    def __init__(self, redis: Redis, log_id: str) -> None:
        self._redis = redis
        self._log_id = log_id
        self._untold: Counter[int] = Counter()

    def decided(self, day: int, count: int) -> None:
        self._untold[day] += count
        if len(self._untold) > MOST_DAYS:
            del self._untold[min(self._untold)]

    async def take(self, limits: Limits, limit: Limit, day: int, tx_ids: Sequence[str]) -> list[bool]:
        """Raises redis errors; some of what was decided may then never be told, which makes it stricter."""
        share = "" if limit == "review" else repr(limits.declined_share_of_day or 0.0)
        prefix = f"limits:{{{self._log_id}:{day}}}"
        given: Any = await self._redis.eval(
            TAKE, 2, f"{prefix}:{limit}", f"{prefix}:decided",
            limits.reviews_per_day or 0, share, self._untold.pop(day, 0), *tx_ids,
        )  # fmt: skip
        return [bool(each) for each in given]

    async def ping(self) -> None:
        """Raises where there is no answer."""
        await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()
