"""Daily quotas of the limited actions, reserved by tx_id: a tx_id keeps its reservation when repeated.

Reviews a day are bounded by the capacity of the analysts; declines may be a share of the day's decisions.
Days are of event time. A reservation is never returned: the quota goes to the first that need it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from redis.asyncio import Redis

from fraudsim.log.events import Transaction
from producers.labels.divided_desk import ArmShare
from scorer.policy.policy import DECLINE, REVIEW, Assessment, Limit, Limits, Policy
from stream_features.catalogue.features import DAY

KEPT_S: Final = 172_800
"""Wall time after which a day without requests is removed."""
UNKNOWN: Final = "limits_away"
"""Reason where Redis does not answer: a limit that must not be exceeded is taken as used up."""
MAX_DAYS: Final = 16
_ACTION: Final[dict[Limit, int]] = {"review": REVIEW, "decline": DECLINE}
_REASON: Final[dict[Limit, str]] = {"review": "reviews_per_day", "decline": "declined_share_of_day"}

RESERVE_SCRIPT: Final = f"""
local decided = redis.call('INCRBY', KEYS[2], ARGV[3])
local most = tonumber(ARGV[1])
if ARGV[2] ~= '' then most = math.floor(tonumber(ARGV[2]) * decided) end
local reserved = {{}}
for i = 4, #ARGV do
  if redis.call('SISMEMBER', KEYS[1], ARGV[i]) == 1 then reserved[i - 3] = 1
  elseif redis.call('SCARD', KEYS[1]) < most then redis.call('SADD', KEYS[1], ARGV[i]) reserved[i - 3] = 1
  else reserved[i - 3] = 0 end
end
redis.call('EXPIRE', KEYS[1], {KEPT_S})
redis.call('EXPIRE', KEYS[2], {KEPT_S})
return reserved
"""


Reserve = Callable[[Limit, int, Sequence[str]], Awaitable[list[bool] | None]]
"""Reserves quota of a limit on a day by tx_id: whether each has it, or None where the quota is unknown."""


async def reserve_quota(
    policy: Policy, assessments: Sequence[tuple[Transaction, Assessment]], reserve: Reserve
) -> None:
    """Reserve what the preferred actions need; where it is used up, exclude the action and try the next."""
    undecided = assessments
    while undecided:
        requests: defaultdict[tuple[Limit, int], list[tuple[Transaction, Assessment]]] = defaultdict(list)
        for tx, assessment in undecided:
            limit = policy.required_limit(tx, assessment)
            if limit is not None:
                requests[limit, tx.ts // DAY].append((tx, assessment))
        undecided = []
        for (limit, day), pairs in requests.items():
            reserved = await reserve(limit, day, [tx.tx_id for tx, _ in pairs])
            reason = UNKNOWN if reserved is None else _REASON[limit]
            for (tx, assessment), has_quota in zip(pairs, reserved or [False] * len(pairs), strict=True):
                if not has_quota:
                    assessment.exclude(_ACTION[limit], reason)
                    undecided.append((tx, assessment))


def limits_of_arm(limits: Limits, arm: ArmShare | None) -> Limits:
    """An arm's part of the daily limits: as many reviews as it has cards; a share of decisions stays one.

    >>> whole = Limits(reviews_per_day=10)
    >>> [limits_of_arm(whole, ArmShare(*arm)).reviews_per_day for arm in (("b", 0.25), ("", 0.75))]
    [2, 8]

    Args:
        arm: None where one model decides for all cards. The champion has what is left after rounding.
    """
    if limits.reviews_per_day is None or arm is None:
        return limits
    reviews = round(limits.reviews_per_day * arm.share, 6)
    return replace(limits, reviews_per_day=math.floor(reviews) if arm.arm else math.ceil(reviews))


class DailyQuota(Protocol):
    """Where reservations are kept; each arm of an experiment has its own, the champion's is ""."""

    def count_decided(self, day: int, count: int, arm: str = "") -> None:
        """Add to the number of transactions decided on a day."""

    async def reserve(
        self, limits: Limits, limit: Limit, day: int, tx_ids: Sequence[str], arm: str = ""
    ) -> list[bool]:
        """Whether each tx_id has quota now."""


class LocalQuota:
    """In memory: for dry runs, and for tests."""

    def __init__(self) -> None:
        self._decided: Counter[tuple[int, str]] = Counter()
        self._reserved: defaultdict[tuple[Limit, int, str], set[str]] = defaultdict(set)

    def count_decided(self, day: int, count: int, arm: str = "") -> None:
        self._decided[day, arm] += count

    async def reserve(
        self, limits: Limits, limit: Limit, day: int, tx_ids: Sequence[str], arm: str = ""
    ) -> list[bool]:
        reserved = self._reserved[limit, day, arm]
        quota = limits.reviews_per_day or 0
        if limit == "decline":
            quota = math.floor((limits.declined_share_of_day or 0.0) * self._decided[day, arm])
        answers = []
        for tx_id in tx_ids:
            if tx_id in reserved or len(reserved) < quota:
                reserved.add(tx_id)
            answers.append(tx_id in reserved)
        return answers


class RedisQuota:
    """Shared by all scorers of a log. The count of decisions is sent with the next reservation."""

    def __init__(self, redis: Redis, log_id: str) -> None:
        self._redis = redis
        self._log_id = log_id
        self._unsent_decided: Counter[tuple[int, str]] = Counter()

    def count_decided(self, day: int, count: int, arm: str = "") -> None:
        self._unsent_decided[day, arm] += count
        if len(self._unsent_decided) > MAX_DAYS:
            del self._unsent_decided[min(self._unsent_decided)]

    async def reserve(
        self, limits: Limits, limit: Limit, day: int, tx_ids: Sequence[str], arm: str = ""
    ) -> list[bool]:
        """Raises redis errors; counts of decisions may then be lost, which makes the limit stricter."""
        share = "" if limit == "review" else repr(limits.declined_share_of_day or 0.0)
        prefix = f"limits:{{{self._log_id}:{day}}}" + (f":{arm}" if arm else "")
        reserved: Any = await self._redis.eval(
            RESERVE_SCRIPT, 2, f"{prefix}:{limit}", f"{prefix}:decided",
            limits.reviews_per_day or 0, share, self._unsent_decided.pop((day, arm), 0), *tx_ids,
        )  # fmt: skip
        return [bool(flag) for flag in reserved]

    async def ping(self) -> None:
        """Raises where Redis does not answer."""
        await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()
