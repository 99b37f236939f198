"""Waiting for a condition with a deadline instead of for a fixed time."""

import time
from collections.abc import Callable


def poll_until(
    condition: Callable[[], bool],
    timeout_s: float,
    *,
    every_s: float = 0.02,
) -> bool:
    """Evaluate `condition` every `every_s` seconds until it holds.

    Returns whether it held within `timeout_s` seconds. An exception of `condition` ends the wait and passes
    through.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            return False
        time.sleep(min(every_s, remaining_s))
    return True
