"""Transactions that a script adds to a stream: attacks and peaks, with ids, truth and labels of their own."""

from collections.abc import Iterator
from heapq import merge
from operator import itemgetter
from typing import Any

import numpy as np

from fraudsim.durations import duration_ms
from producers.history.tables import day_tables
from producers.labels.delays import label_transactions
from producers.population.columns import DAY_MS, Columns, concatenate
from producers.population.habits import honest_transactions
from producers.rng import generator, mix64, salt
from producers.scenario.schema import Attack, Peak, Script
from producers.sources.source import Item
from producers.sources.world_source import label_items, label_order, transaction_items
from producers.typologies import TYPOLOGY_CLASSES
from producers.typologies.pace import at_tempo, move_to_open_shops
from producers.world.day import Day
from producers.world.world import World


class ExtraTraffic:
    """The attacks and peaks of a script, played in a world."""

    def __init__(self, script: Script, world: World, start_ms: int) -> None:
        self._script = script
        self._world = world
        self._start_ms = start_ms

    def streams(self) -> Iterator[Iterator[Item]]:
        """One stream per event, each in order of `due_ms`."""
        events = list(enumerate(self._script.events))
        for number, event in events:
            if isinstance(event, Attack):
                yield self._attack(number, event)
        for number, event in events:
            if isinstance(event, Peak):
                yield self._peak(number, event)

    def _ms(self, text: str) -> int:
        return self._start_ms + duration_ms(text)

    def _attack(self, number: int, attack: Attack) -> Iterator[Item]:
        world = self._world
        by_name = {typology.name: typology for typology in TYPOLOGY_CLASSES}
        typology = by_name[attack.typology](0.0, attack.camouflage)
        at_ms = self._ms(attack.at)
        rng = generator(world.config.seed, f"script-{self._script.seed}-{number}")
        campaigns: list[Columns] = []
        for _ in range(20 * attack.campaigns):  # a scheme may find no card that fits
            rows = typology.transactions(world.population, world.config.seed, at_ms // DAY_MS, rng)
            if len(rows):
                campaigns.append(rows)
            if len(campaigns) == attack.campaigns:
                break
        tempo = world.config.tempo if attack.tempo is None else attack.tempo
        if typology.follows_tempo:
            campaigns = [at_tempo(rows, tempo) for rows in campaigns]
        moved = [
            move_to_open_shops(world.population, _shift(rows, at_ms - int(rows.ts.min())), rng)
            for rows in campaigns
        ]
        campaign = np.repeat(np.arange(len(campaigns), dtype=np.int32), [len(rows) for rows in campaigns])
        ids = [f"script-{number}-{i}" for i in range(len(campaigns))]
        return self._items(number, concatenate(moved), campaign, ids, attack.typology)

    def _peak(self, number: int, peak: Peak) -> Iterator[Item]:
        """Further honest days of the same cards; the last of them is thinned to the requested factor."""
        world = self._world
        begin, end = self._ms(peak.from_), self._ms(peak.until)
        for day in range(begin // DAY_MS, (end - 1) // DAY_MS + 1):
            layers: list[Columns] = []
            remaining, layer = peak.times - 1, 0
            while remaining > 0:
                seed = int(
                    salt(world.config.seed, "script-peak", self._script.seed, number, layer) >> np.uint64(2)
                )
                rows = honest_transactions(world.population, seed, day)
                keep = (rows.ts >= begin) & (rows.ts < end)
                if remaining < 1:
                    keep &= generator(seed, "thin", day).random(len(rows)) < remaining
                layers.append(rows.take(keep))
                remaining, layer = remaining - 1, layer + 1
            rows = concatenate(layers)
            yield from self._items(number * 100_000 + day, rows, np.full(len(rows), -1, np.int32), [], None)

    def _items(
        self,
        key: int,
        rows: Columns,
        campaign: np.ndarray[Any, np.dtype[np.int32]],
        campaign_ids: list[str],
        typology: str | None,
    ) -> Iterator[Item]:
        """Columns as transactions, truth and labels; ids and delays follow from `key`."""
        world = self._world
        order = np.argsort(rows.ts, kind="stable")
        rows, campaign = rows.take(order), campaign[order]
        mixed = salt(world.config.seed, "script-tx", self._script.seed, key)
        day = Day(
            number=0,
            transactions=rows,
            tx_number=mix64(np.arange(len(rows), dtype=np.uint64) ^ mixed),
            typology=np.where(campaign >= 0, 0, -1).astype(np.int8),
            campaign=campaign,
            campaign_ids=campaign_ids,
            labels=label_transactions(
                rows.ts,
                rows.card,
                campaign >= 0,
                world.config.delays,
                generator(world.config.seed, "script-labels", self._script.seed, key),
            ),
        )
        tables = day_tables(world.population, day, [typology or ""]).with_text_ids()
        labels = sorted(label_items(tables.labels), key=label_order)
        return merge(transaction_items(tables), labels, key=itemgetter(0))


def _shift(rows: Columns, by_ms: int) -> Columns:
    return Columns(
        rows.ts + by_ms, rows.card, rows.merchant, rows.channel, rows.amount_cents, rows.device, rows.ip
    )
