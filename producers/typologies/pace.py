"""The tempo of attacks: the same campaigns, with the time between their transactions stretched or shrunk."""

import math
from dataclasses import dataclass

import numpy as np

from producers.population.closed_shops import closed_rows, replace_closed_merchants
from producers.population.columns import Columns, concatenate
from producers.population.population import Population
from producers.rng import generator
from producers.typologies.base import BaseTypology, Campaign
from producers.typologies.building_blocks import card_present_payments


def at_tempo(rows: Columns, tempo: float) -> Columns:
    """A campaign `tempo` times as fast, from its first transaction on; nothing but times changes."""
    if tempo == 1 or not len(rows):
        return rows
    begin = int(rows.ts.min())
    ts = begin + np.rint((rows.ts - begin) / tempo).astype(np.int64)
    return Columns(ts, rows.card, rows.merchant, rows.channel, rows.amount_cents, rows.device, rows.ip)


def move_to_open_shops(population: Population, rows: Columns, rng: np.random.Generator) -> Columns:
    """A campaign whose payments at closed shops are moved to open ones in the same town."""
    closed = closed_rows(population, rows.ts, rows.merchant)
    if not len(closed):
        return rows
    late = rows.take(closed)
    shops = replace_closed_merchants(population, late.ts, late.merchant, rng)
    paid = card_present_payments(population, late.ts, late.card, shops, late.amount_cents)
    return concatenate([rows.take(np.setdiff1d(np.arange(len(rows)), closed)), paid])


@dataclass(frozen=True)
class PacedTypology:
    """A `Typology` at another tempo: as many campaigns of as many transactions.

    Only for typologies that follow a tempo (`BaseTypology.follows_tempo`): people who carry a card from shop
    to shop do not.
    """

    typology: BaseTypology
    tempo: float

    @property
    def name(self) -> str:
        return self.typology.name

    @property
    def span_days(self) -> int:
        return max(self.typology.span_days, math.ceil(self.typology.span_days / self.tempo))

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        """The campaigns of the typology, each at the tempo."""
        rng = generator(seed, f"{self.name}-tempo", day)
        return [
            Campaign(
                campaign.campaign_id,
                move_to_open_shops(population, at_tempo(campaign.columns, self.tempo), rng),
            )
            for campaign in self.typology.campaigns(population, seed, day)
        ]
