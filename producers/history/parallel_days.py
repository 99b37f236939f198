"""Days of a world made by several processes and handed over in order, a bounded number at a time.

A day needs the campaigns that started up to four weeks before it. So the processes first make the campaigns
of some days to come, each once for all, and then the days themselves.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from fraudsim.errors import FraudsimError
from producers.world.campaigns import Campaigns
from producers.world.config import WorldConfig
from producers.world.day import Day
from producers.world.world import World

BLOCK_DAYS: Final = 8
"""Campaigns are made for so many days at once: they look at the payments of the three days before."""

_Key = tuple[int, int]
"""Typology and day on which campaigns start: the arguments of `World.campaigns_started`."""


@contextmanager
def days_in_order(world: World, days: int, workers: int) -> Iterator[Iterator[Day]]:
    """Days 0 to `days - 1`, the same however many processes make them; one makes them in this process.

    At most `2 * workers + 1` days wait at a time. On leaving, whatever the reason, no process is left.

    Raises:
        FraudsimError: a process died or raised.
    """
    if workers == 1:
        yield (world.day(number) for number in range(days))
        return
    with closing(_WorkerPool(workers)) as crew:
        started = crew.in_order(_start_campaigns, _blocks(world, days), workers + 1)
        yield crew.in_order(_make_day, _days(world, days, started), 2 * workers)


def _blocks(world: World, days: int) -> Iterator[tuple[WorldConfig, list[_Key]]]:
    """The campaigns that days 0 to `days - 1` need, by the day they start, some days at once."""
    spans = [typology.span_days for typology in world.typologies]
    for first in range(1 - max(spans), days, BLOCK_DAYS):
        block = range(first, min(first + BLOCK_DAYS, days))
        yield world.config, [(kind, n) for n in block for kind, span in enumerate(spans) if n + span > 0]


def _days(
    world: World, days: int, started: Iterator[dict[_Key, Campaigns]]
) -> Iterator[tuple[WorldConfig, int, list[tuple[int, Campaigns]]]]:
    longest = max(typology.span_days for typology in world.typologies)
    known: dict[_Key, Campaigns] = {}
    for number in range(days):
        while (0, number) not in known:
            known |= next(started)
        known = {key: campaigns for key, campaigns in known.items() if key[1] > number - longest}
        yield world.config, number, world.campaigns_on(number, lambda *key: known[key])  # noqa: B023


class _WorkerPool:
    """Processes that each do one task at a time.

    Not a `ProcessPoolExecutor`: that hangs when a process is killed while it sends a large result. Here each
    has a pipe of its own, whose end says that the other side is gone.
    """

    def __init__(self, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, int] = {}
        self._tasks: deque[tuple[int, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._results: dict[int, Any] = {}
        self._count = 0
        for _ in range(workers):
            ours, theirs = context.Pipe()
            # A daemon, so that it is ended even where an exception comes before the end of this loop.
            process = context.Process(target=_serve_tasks, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._idle.append(ours)

    def in_order(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], ahead: int
    ) -> Iterator[Any]:
        """Results in the order of the arguments, which are read only `ahead` further than the results."""
        waiting: deque[int] = deque()
        for each in arguments:
            waiting.append(self._submit(function, each))
            if len(waiting) > ahead:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def close(self) -> None:
        """End every process, whatever it is at."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        for connection in (*self._idle, *self._busy):
            connection.close()

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
        self._count += 1
        self._tasks.append((self._count, function, arguments))
        self._hand_out()
        return self._count

    def _hand_out(self) -> None:
        while self._tasks and self._idle:
            connection = self._idle.pop()
            number, *task = self._tasks.popleft()
            self._busy[connection] = number
            try:
                connection.send(task)
            except OSError:
                raise _worker_died() from None

    def _result(self, number: int) -> Any:
        while True:
            ready = wait(list(self._busy), 0 if number in self._results else None)
            for connection in self._busy.keys() & ready:
                try:
                    error, result = connection.recv()
                except (EOFError, OSError):
                    raise _worker_died() from None
                if error:
                    raise FraudsimError(f"world: a worker failed, no history was written: {error}")
                self._results[self._busy.pop(connection)] = result
                self._idle.append(connection)
            self._hand_out()
            if number in self._results:
                return self._results.pop(number)


def _worker_died() -> FraudsimError:
    return FraudsimError(
        "world: a worker process died, no history was written; "
        "if memory ran out, try again with fewer --workers"
    )


def _serve_tasks(connection: Connection) -> None:
    """In a worker: one task after the other, until the parent is gone. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            function, arguments = connection.recv()
            try:
                reply: tuple[str | None, Any] = (None, function(*arguments))
            except Exception as error:
                reply = (f"{type(error).__name__}: {error}".splitlines()[0], None)
            connection.send(reply)
    except (EOFError, OSError):
        return


@lru_cache(maxsize=1)
def _world(config: WorldConfig) -> World:
    return World(config)


def _start_campaigns(config: WorldConfig, keys: list[_Key]) -> dict[_Key, Campaigns]:
    """In a worker."""
    return {key: _world(config).campaigns_started(*key) for key in keys}


def _make_day(config: WorldConfig, number: int, campaigns: list[tuple[int, Campaigns]]) -> Day:
    """In a worker."""
    return _world(config).day(number, campaigns)
