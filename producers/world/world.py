"""The synthetic world: any day of it, alone or in sequence, from its configuration.

Pure: a day is a function of (configuration, day), so the same seed gives the same transactions
however many processes make them and in whatever order.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from producers.calendar.growth import TrafficGrowth
from producers.labels.delays import label_transactions
from producers.population.columns import DAY_MS, concatenate
from producers.population.habits import honest_transactions
from producers.population.population import Population, build_population
from producers.rng import generator, mix64, salt
from producers.typologies import default_typologies
from producers.world.campaigns import Campaigns
from producers.world.config import WorldConfig
from producers.world.day import Day

WORLD_VERSION: Final = 2
"""Changes whenever the same configuration would give other transactions or labels."""


class World:
    """Days of transactions, their truth and their labels. Days are numbered from the world's day 0."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.typologies = default_typologies(config.fraud_scale, config.camouflage)
        self.campaigns_started: Callable[[int, int], Campaigns] = lru_cache(256)(self._campaigns_started)
        """Every campaign of a typology (by index) that starts on a day, with all its rows."""

    @property
    def population(self) -> Population:
        config = self.config
        growth = TrafficGrowth(config.growth_per_year, config.start_day)
        return build_population(config.cards, config.merchant_count, config.seed, growth)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the configuration and the world's version."""
        return hashlib.sha256(
            msgspec.json.encode([WORLD_VERSION, asdict(self.config)], order="sorted")
        ).hexdigest()[:16]

    def day_start_ms(self, number: int) -> int:
        """Event time at which a day starts, ms UTC."""
        return (self.config.start_day + number) * DAY_MS

    def day(self, number: int, campaigns: list[tuple[int, Campaigns]] | None = None) -> Day:
        """Everything that happens on a day, whatever day its campaigns started.

        `campaigns` is what `campaigns_on` gives for the day, where that has been made elsewhere.
        """
        seed, day = self.config.seed, self.config.start_day + number
        parts = [honest_transactions(self.population, seed, day)]
        typology = [np.full(len(parts[0]), -1, np.int8)]
        campaign = [np.full(len(parts[0]), -1, np.int32)]
        ids: list[str] = []
        for kind, (columns, index, named) in self.campaigns_on(number) if campaigns is None else campaigns:
            parts.append(columns)
            typology.append(np.full(len(columns), kind, np.int8))
            campaign.append(index + np.int32(len(ids)))
            ids.extend(named)
        rows = concatenate(parts)
        # Ids are given in order of time, then mixed: neither order nor value tells fraud.
        # One sort of (time of day, row) packed in a word: stable, and far faster than a stable argsort.
        rank = np.arange(len(rows), dtype=np.uint64)
        words = (rows.ts - day * DAY_MS).astype(np.uint64) << np.uint64(32) | rank
        order = (np.sort(words) & np.uint64(0xFFFFFFFF)).astype(np.intp)
        number_of = mix64((np.uint64(day) << np.uint64(32) | rank) ^ salt(seed, "tx_id"))
        order, number_of = _settle_ties(rows.ts[order], order, number_of)
        rows = rows.take(order)
        kinds = np.concatenate(typology)[order]
        return Day(
            number=number,
            transactions=rows,
            tx_number=number_of,
            typology=kinds,
            campaign=np.concatenate(campaign)[order],
            campaign_ids=ids,
            labels=label_transactions(
                rows.ts, rows.card, kinds >= 0, self.config.delays, generator(seed, "labels", day)
            ),
        )

    def campaigns_on(
        self, number: int, started: Callable[[int, int], Campaigns] | None = None
    ) -> list[tuple[int, Campaigns]]:
        """What each typology (by index) does on a day, by the day its campaigns started.

        `started` answers like `campaigns_started`, for those who have asked other processes before.
        """
        started = started or self.campaigns_started
        day = self.config.start_day + number
        found = []
        for kind, typology in enumerate(self.typologies):
            for start in range(number - typology.span_days + 1, number + 1):
                columns, index, ids = started(kind, start)
                today = np.flatnonzero(columns.ts // DAY_MS == day)
                if len(today):
                    found.append((kind, Campaigns(columns.take(today), index[today], ids)))
        return found

    def _campaigns_started(self, kind: int, number: int) -> Campaigns:
        day = self.config.start_day + number
        campaigns = self.typologies[kind].campaigns(self.population, self.config.seed, day)
        sizes = [len(campaign.columns) for campaign in campaigns]
        return Campaigns(
            concatenate([campaign.columns for campaign in campaigns]),
            np.repeat(np.arange(len(sizes), dtype=np.int32), sizes),
            [campaign.campaign_id for campaign in campaigns],
        )


def _settle_ties(
    ts: NDArray[np.int64], order: NDArray[np.intp], number: NDArray[np.uint64]
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Put rows of equal time in the order of their ids; only the rows of a tie are touched."""
    tied = np.zeros(len(ts) + 1, np.bool_)
    tied[1:-1] = ts[1:] == ts[:-1]
    rows = np.flatnonzero(tied[1:] | tied[:-1])
    if len(rows):
        settled = rows[np.lexsort((number[rows], ts[rows]))]
        order, number = order.copy(), number.copy()
        order[rows], number[rows] = order[settled], number[settled]
    return order, number
