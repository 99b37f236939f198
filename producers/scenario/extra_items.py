"""Transactions beyond a world's own as a stream's records: with ids, truth and labels of their own."""

from collections.abc import Iterator, Sequence
from heapq import merge
from operator import itemgetter
from typing import Final, NamedTuple, Protocol

import numpy as np

from fraudsim.arrays import Int32s
from producers.history.tables import day_tables
from producers.labels.delays import label_transactions
from producers.population.columns import DAY_MS, Columns, concatenate
from producers.rng import mix64
from producers.sources.source import Item
from producers.sources.world_source import label_items, label_order, transaction_items
from producers.typologies import TYPOLOGY_CLASSES
from producers.typologies.pace import at_tempo, move_to_open_shops
from producers.world.day import Day
from producers.world.world import World

TRIES: Final = 20
"""Draws for each campaign: a scheme may find no card that fits."""


class ExtraDraws(NamedTuple):
    """The randomness of extra transactions."""

    tx_salt: np.uint64
    """Of their ids."""
    labels: np.random.Generator


class AttackPlan(Protocol):
    """What an attack consists of."""

    @property
    def typology(self) -> str: ...
    @property
    def campaigns(self) -> int: ...
    @property
    def camouflage(self) -> float: ...
    @property
    def tempo(self) -> float | None:
        """How many times as fast as usual; None: as the world's attacks."""


def campaigns_of(attack: AttackPlan, world: World, at_ms: int, rng: np.random.Generator) -> list[Columns]:
    """The campaigns of an attack, each of which begins at an event time."""
    by_name = {typology.name: typology for typology in TYPOLOGY_CLASSES}
    typology = by_name[attack.typology](0.0, attack.camouflage)
    campaigns: list[Columns] = []
    for _ in range(TRIES * attack.campaigns):
        rows = typology.transactions(world.population, world.config.seed, at_ms // DAY_MS, rng)
        if len(rows):
            campaigns.append(rows)
        if len(campaigns) == attack.campaigns:
            break
    tempo = world.config.tempo if attack.tempo is None else attack.tempo
    if typology.follows_tempo:
        campaigns = [at_tempo(rows, tempo) for rows in campaigns]
    return [
        move_to_open_shops(world.population, _shift(rows, at_ms - int(rows.ts.min())), rng)
        for rows in campaigns
    ]


def attack_items(
    world: World, campaigns: Sequence[Columns], ids: list[str], typology: str, draws: ExtraDraws
) -> Iterator[Item]:
    """Campaigns as transactions, truth and labels, in order of `due_ms`."""
    campaign = np.repeat(np.arange(len(campaigns), dtype=np.int32), [len(rows) for rows in campaigns])
    return extra_items(world, concatenate(list(campaigns)), campaign, ids, typology, draws)


def extra_items(
    world: World,
    rows: Columns,
    campaign: Int32s,
    campaign_ids: list[str],
    typology: str | None,
    draws: ExtraDraws,
) -> Iterator[Item]:
    """Columns as transactions, truth and labels, in order of `due_ms`.

    Args:
        campaign: by row, the index of its campaign's id; -1 where it is honest.
    """
    order = np.argsort(rows.ts, kind="stable")
    rows, campaign = rows.take(order), campaign[order]
    day = Day(
        number=0,
        transactions=rows,
        tx_number=mix64(np.arange(len(rows), dtype=np.uint64) ^ draws.tx_salt),
        typology=np.where(campaign >= 0, 0, -1).astype(np.int8),
        campaign=campaign,
        campaign_ids=campaign_ids,
        labels=label_transactions(rows.ts, rows.card, campaign >= 0, world.config.delays, draws.labels),
    )
    tables = day_tables(world.population, day, [typology or ""]).with_text_ids()
    labels = sorted(label_items(tables.labels), key=label_order)
    return merge(transaction_items(tables), labels, key=itemgetter(0))


def _shift(rows: Columns, by_ms: int) -> Columns:
    return Columns(
        rows.ts + by_ms, rows.card, rows.merchant, rows.channel, rows.amount_cents, rows.device, rows.ip
    )
