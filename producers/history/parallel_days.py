"""Days of a world made by several processes, in order, with a bounded number in memory.

A day needs the campaigns that started up to four weeks before it. So the processes first make the campaigns
of some days ahead, each campaign once, and then the days themselves.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Final

from producers.history.worker_pool import WorkerPool
from producers.world.campaigns import Campaigns
from producers.world.config import WorldConfig
from producers.world.day import Day
from producers.world.world import World

BLOCK_DAYS: Final = 8
"""Days whose campaigns are made in one task: they read the visits of the three days before."""

_Key = tuple[int, int]
"""Index of a typology and day on which campaigns start: the arguments of `World.campaigns_started`."""


@contextmanager
def days_in_order(world: World, days: int, workers: int) -> Iterator[Iterator[Day]]:
    """Days 0 to `days - 1`, the same from any number of processes; with one worker, made in this process.

    At most `2 * workers + 1` days are held at a time. No worker process is left on exit, with or without
    error.

    Raises:
        FraudsimError: a process died or raised.
    """
    if workers == 1:
        yield (world.day(number) for number in range(days))
        return
    with closing(WorkerPool(workers)) as pool:
        started = pool.in_order(_start_campaigns, _campaign_tasks(world, days), workers + 1)
        yield pool.in_order(_make_day, _day_tasks(world, days, started), 2 * workers)


def _campaign_tasks(world: World, days: int) -> Iterator[tuple[WorldConfig, list[_Key]]]:
    """Keys of the campaigns that days 0 to `days - 1` need, by the day they start, in blocks of days."""
    spans = [typology.span_days for typology in world.typologies]
    for first in range(1 - max(spans), days, BLOCK_DAYS):
        block = range(first, min(first + BLOCK_DAYS, days))
        keys = [(index, day) for day in block for index, span in enumerate(spans) if day + span > 0]
        yield world.config, keys


def _day_tasks(
    world: World, days: int, started: Iterator[dict[_Key, Campaigns]]
) -> Iterator[tuple[WorldConfig, int, list[tuple[int, Campaigns]]]]:
    """Each day with its campaigns; those that later days do not need are dropped."""
    longest = max(typology.span_days for typology in world.typologies)
    campaigns_of: dict[_Key, Campaigns] = {}
    for number in range(days):
        while (0, number) not in campaigns_of:
            campaigns_of |= next(started)
        campaigns_of = {key: value for key, value in campaigns_of.items() if key[1] > number - longest}
        yield world.config, number, world.campaigns_on(number, lambda *key: campaigns_of[key])  # noqa: B023


@lru_cache(maxsize=1)
def _world(config: WorldConfig) -> World:
    """The world of a worker process."""
    return World(config)


def _start_campaigns(config: WorldConfig, keys: list[_Key]) -> dict[_Key, Campaigns]:
    """A task of a worker process."""
    return {key: _world(config).campaigns_started(*key) for key in keys}


def _make_day(config: WorldConfig, number: int, campaigns: list[tuple[int, Campaigns]]) -> Day:
    """A task of a worker process."""
    return _world(config).day(number, campaigns)
