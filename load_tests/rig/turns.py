"""Actions timed in turns, so that what slows the machine for a while slows all of them."""

import time
from collections.abc import Callable, Sequence


def times_in_turns(
    actions: Sequence[Callable[[], object]], turns: int, clock_s: Callable[[], float] = time.perf_counter
) -> list[list[float]]:
    """Seconds of each action in each turn, by action. Each is called once before, so that it is compiled.

    Args:
        clock_s: `time.process_time` for processor time.
    """
    for action in actions:
        action()
    times_s: list[list[float]] = [[] for _ in actions]
    for _ in range(turns):
        for of_action, action in zip(times_s, actions, strict=True):
            started_s = clock_s()
            action()
            of_action.append(clock_s() - started_s)
    return times_s
