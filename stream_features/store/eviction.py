"""A Redis that evicts keys would drop state in silence: it is refused before anything is written."""

import re
from typing import Final

from redis import Redis

from fraudsim.errors import FraudsimError

KEEPS_ALL: Final = "noeviction"


def policy_in(info: str) -> str:
    """The policy for a full memory in a reply to INFO, "noeviction" if it is not there.

    >>> policy_in("# Memory\\r\\nmaxmemory_policy:allkeys-lru\\r\\n")
    'allkeys-lru'
    """
    match = re.search(r"^maxmemory_policy:(\S+)", info, re.MULTILINE)
    return match[1] if match else KEEPS_ALL


def check_policy(policy: str) -> None:
    """Check that Redis never drops a key by itself.

    Raises:
        FraudsimError: it may.
    """
    if policy != KEEPS_ALL:
        raise FraudsimError(
            f"the Redis of FRAUDSIM_REDIS_URL has maxmemory-policy {policy}, so it may drop state: "
            f"set it to {KEEPS_ALL}, then prime or rebuild the state"
        )


def check_keeps_all(redis: Redis) -> None:
    """`check_policy` by INFO: managed Redis often forbids CONFIG."""
    check_policy(str(redis.info("memory").get("maxmemory_policy", KEEPS_ALL)))
