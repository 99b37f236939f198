"""The synthetic world: any day of it, from its configuration.

Pure: a day is a function of (configuration, day number), so the same seed gives the same transactions in any
order and from any number of processes.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Ints
from fraudsim.errors import FraudsimError
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
"""Raised whenever the same configuration would give other transactions or labels."""


class World:
    """Makes days of transactions with their truth and labels; day 0 is `config.start_day`."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.typologies = default_typologies(config.fraud_scale, config.camouflage, config.tempo)
        spans = [typology.span_days for typology in self.typologies]
        if max(spans) > config.start_day:
            raise FraudsimError(
                f"world: at tempo={config.tempo:g} a campaign lasts {max(spans)} days, more than there are "
                f"before start_day={config.start_day}; raise one of them"
            )
        self.campaigns_started: Callable[[int, int], Campaigns] = lru_cache(max(256, 2 * sum(spans)))(
            self._campaigns_started
        )
        """All campaigns of a typology (by index) that start on a day, with all their rows."""

    @property
    def population(self) -> Population:
        config = self.config
        growth = TrafficGrowth(config.growth_per_year, config.start_day)
        return build_population(config.cards, config.merchant_count, config.seed, growth)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the world's version and configuration."""
        content = msgspec.json.encode([WORLD_VERSION, self.config.as_dict()], order="sorted")
        return hashlib.sha256(content).hexdigest()[:16]

    def day_start_ms(self, number: int) -> int:
        """Event time at which a day starts, ms UTC."""
        return (self.config.start_day + number) * DAY_MS

    def day(self, number: int, campaigns: list[tuple[int, Campaigns]] | None = None) -> Day:
        """All transactions of a day, honest and fraudulent.

        `campaigns` is the result of `campaigns_on(number)`, if another process has already made it.
        """
        seed, day = self.config.seed, self.config.start_day + number
        parts = [honest_transactions(self.population, seed, day)]
        typology = [np.full(len(parts[0]), -1, np.int8)]
        campaign = [np.full(len(parts[0]), -1, np.int32)]
        campaign_ids: list[str] = []
        for typology_index, (columns, campaign_index, ids) in (
            self.campaigns_on(number) if campaigns is None else campaigns
        ):
            parts.append(columns)
            typology.append(np.full(len(columns), typology_index, np.int8))
            campaign.append(campaign_index + np.int32(len(campaign_ids)))
            campaign_ids.extend(ids)
        rows = concatenate(parts)
        # Ids are numbered in order of time, then mixed, so that neither order nor value reveals fraud.
        # One sort of (time of day, row) packed in a word: stable, and far faster than a stable argsort.
        rank = np.arange(len(rows), dtype=np.uint64)
        words = (rows.ts - day * DAY_MS).astype(np.uint64) << np.uint64(32) | rank
        order = (np.sort(words) & np.uint64(0xFFFFFFFF)).astype(np.intp)
        tx_number = mix64((np.uint64(day) << np.uint64(32) | rank) ^ salt(seed, "tx_id"))
        order, tx_number = _sort_ties_by_id(rows.ts[order], order, tx_number)
        rows = rows.take(order)
        typology_of_row = np.concatenate(typology)[order]
        return Day(
            number=number,
            transactions=rows,
            tx_number=tx_number,
            typology=typology_of_row,
            campaign=np.concatenate(campaign)[order],
            campaign_ids=campaign_ids,
            labels=label_transactions(
                rows.ts, rows.card, typology_of_row >= 0, self.config.delays, generator(seed, "labels", day)
            ),
        )

    def campaigns_on(
        self, number: int, started: Callable[[int, int], Campaigns] | None = None
    ) -> list[tuple[int, Campaigns]]:
        """Rows of a day by typology (index) and, within it, by the day their campaigns started.

        `started` replaces `campaigns_started`, if other processes have already made the campaigns.
        """
        started = started or self.campaigns_started
        day = self.config.start_day + number
        campaigns_of_day = []
        for typology_index, typology in enumerate(self.typologies):
            for start in range(number - typology.span_days + 1, number + 1):
                columns, campaign, ids = started(typology_index, start)
                today = np.flatnonzero(columns.ts // DAY_MS == day)
                if len(today):
                    rows = Campaigns(columns.take(today), campaign[today], ids)
                    campaigns_of_day.append((typology_index, rows))
        return campaigns_of_day

    def _campaigns_started(self, typology_index: int, number: int) -> Campaigns:
        day = self.config.start_day + number
        campaigns = self.typologies[typology_index].campaigns(self.population, self.config.seed, day)
        sizes = [len(campaign.columns) for campaign in campaigns]
        return Campaigns(
            concatenate([campaign.columns for campaign in campaigns]),
            np.repeat(np.arange(len(sizes), dtype=np.int32), sizes),
            [campaign.campaign_id for campaign in campaigns],
        )


def _sort_ties_by_id(
    ts: Ints, order: NDArray[np.intp], tx_number: NDArray[np.uint64]
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Sort rows of equal time by their ids; all other rows stay where they are."""
    tied = np.zeros(len(ts) + 1, np.bool_)
    tied[1:-1] = ts[1:] == ts[:-1]
    rows = np.flatnonzero(tied[1:] | tied[:-1])
    if len(rows):
        sorted_rows = rows[np.lexsort((tx_number[rows], ts[rows]))]
        order, tx_number = order.copy(), tx_number.copy()
        order[rows], tx_number[rows] = order[sorted_rows], tx_number[sorted_rows]
    return order, tx_number
