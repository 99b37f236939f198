"""Transactions that a script adds to a stream: attacks and peaks, with ids, truth and labels of their own."""

from collections.abc import Iterator

import numpy as np

from fraudsim.durations import duration_ms
from producers.population.columns import DAY_MS, Columns, concatenate
from producers.population.habits import honest_transactions
from producers.rng import generator, salt
from producers.scenario.extra_items import ExtraDraws, attack_items, campaigns_of, extra_items
from producers.scenario.schema import Attack, Peak, Script
from producers.sources.source import Item
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
        rng = generator(self._world.config.seed, f"script-{self._script.seed}-{number}")
        campaigns = campaigns_of(attack, self._world, self._ms(attack.at), rng)
        ids = [f"script-{number}-{i}" for i in range(len(campaigns))]
        return attack_items(self._world, campaigns, ids, attack.typology, self._draws(number))

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
            none = np.full(len(rows), -1, np.int32)
            draws = self._draws(number * 100_000 + day)
            yield from extra_items(world, rows, none, [], None, draws)

    def _draws(self, key: int) -> ExtraDraws:
        seed, script = self._world.config.seed, self._script.seed
        labels = generator(seed, "script-labels", script, key)
        return ExtraDraws(salt(seed, "script-tx", script, key), labels)
