"""How much of its memory Redis uses, by INFO: whoever only waits for a refused write learns it too late."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class RedisMemory:
    """Bytes."""

    used: int
    limit: int
    """`maxmemory`, from which on writes are refused; 0: none."""


def memory_in(info: str) -> RedisMemory:
    """The memory in a reply to INFO; what is not there is 0, as some managed Redis hide it.

    >>> memory_in("# Memory\\r\\nused_memory:900\\r\\nused_memory_human:900B\\r\\nmaxmemory:1000\\r\\n")
    RedisMemory(used=900, limit=1000)
    """
    fields = dict(re.findall(r"^(used_memory|maxmemory):(\d+)", info, re.MULTILINE))
    return RedisMemory(int(fields.get("used_memory", 0)), int(fields.get("maxmemory", 0)))
