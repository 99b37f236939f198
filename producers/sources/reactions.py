"""Fraudsters that react to declines: they lower amounts, go elsewhere, take another card, or give up. Pure.

A campaign's way, its patience and everything it draws belong to the seed and its id.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
import numpy as np

from fraudsim.log.events import Transaction, Truth
from producers.history.tables import card_id, merchant_id
from producers.population.amounts import MIN_CENTS, chargeable_amounts
from producers.population.closed_shops import closed_rows
from producers.reference import COUNTRIES
from producers.rng import chance
from producers.sources.source import Item, Source
from producers.world.world import World

Way = Literal["lower", "elsewhere", "move_on", "end"]
WAYS: Final[tuple[tuple[Way, float], ...]] = (
    ("lower", 0.4),
    ("elsewhere", 0.25),
    ("move_on", 0.2),
    ("end", 0.15),
)
"""What campaigns do, with the share of each; assumed."""
MOST_PATIENT: Final = 3
"""Declines that the most patient campaigns take before they react; the least patient take one."""
LOWERED: Final = 0.6
"""Of the amount, for every further decline."""
TRIES: Final = 4
"""Merchants that are looked at before a campaign stays where it is."""
RECENT: Final = 50_000
"""Fraudulent transactions whose decisions may be outstanding."""


def way_of(campaign_id: str, seed: int) -> Way:
    """What a campaign does when it has lost its patience."""
    draw = chance(seed, "way", campaign_id)
    for way, share in WAYS:
        if draw < share:
            return way
        draw -= share
    return WAYS[-1][0]


def patience_of(campaign_id: str, seed: int) -> int:
    """Declines after which a campaign reacts."""
    return 1 + int(chance(seed, "patience", campaign_id) * MOST_PATIENT)


class Reactions:
    """A source whose campaigns hear of declines; a `Source`.

    `items` gives the source's own records, however far ahead; `react` is asked when one is about to be sent.
    """

    def __init__(self, source: Source, world: World) -> None:
        self._source = source
        self._world = world
        self._seed = world.config.seed
        self._campaign_of: dict[str, str] = {}
        self._heard: deque[str] = deque()
        self._declines: Counter[str] = Counter()
        self._given_up: set[str] = set()
        self.counts: Counter[str] = Counter()
        """Transactions changed, by what was done."""
        self.name = f"{source.name}-reacting"
        self.start_ms = source.start_ms

    def items(self) -> Iterator[Item]:
        """The source's records; what belongs to a campaign is remembered."""
        for item in self._source.items():
            if item.campaign_id is not None and isinstance(item.event, Transaction):
                self._campaign_of[item.event.tx_id] = item.campaign_id
                if len(self._campaign_of) > RECENT:
                    del self._campaign_of[next(iter(self._campaign_of))]
            yield item

    def declined(self, tx_id: str) -> None:
        """Tell of a decline; from any thread."""
        self._heard.append(tx_id)

    def react(self, item: Item) -> Item | None:
        """The record as it is to be sent; None where the campaign has given up before it."""
        while self._heard:
            campaign = self._campaign_of.get(self._heard.popleft())
            if campaign is not None:
                self._declines[campaign] += 1
        campaign = item.campaign_id
        if campaign is None:
            return item
        if isinstance(item.event, Truth) and item.event.tx_id in self._given_up:
            self._given_up.remove(item.event.tx_id)
            return None
        beyond = self._declines[campaign] - patience_of(campaign, self._seed)
        if beyond < 0 or not isinstance(item.event, Transaction):
            return item
        way = way_of(campaign, self._seed)
        self.counts[way] += 1
        if way == "end":
            self._given_up.add(item.event.tx_id)
            return None
        if way == "lower":
            return item._replace(event=self._lowered(item.event, beyond + 1))
        if way == "elsewhere":
            return item._replace(event=self._elsewhere(item.event))
        card = self._other_card(campaign, self._declines[campaign])
        return item._replace(key=card, event=msgspec.structs.replace(item.event, card_id=card))

    def _lowered(self, tx: Transaction, times: int) -> Transaction:
        cents = max(round(tx.amount_cents * LOWERED**times), MIN_CENTS)
        charged = chargeable_amounts(self._world.population, _merchant(tx), np.array([cents], np.int64))
        return msgspec.structs.replace(tx, amount_cents=int(charged[0]))

    def _elsewhere(self, tx: Transaction) -> Transaction:
        """The same purchase at another merchant of the category that is open; at its own where none is."""
        population = self._world.population
        merchants = population.merchants
        category = merchants.category[_merchant(tx)].astype(np.int64)
        draws = np.array([chance(self._seed, "elsewhere", tx.tx_id, n) for n in range(TRIES)])
        there = population.merchants_by_category.pick(np.repeat(category, TRIES), draws)
        closed = closed_rows(population, np.full(TRIES, tx.ts), there)
        still_open = np.delete(there, closed)
        if not len(still_open):
            return tx
        chosen = int(still_open[0])
        present = tx.lat is not None
        return msgspec.structs.replace(
            tx,
            merchant_id=merchant_id(chosen),
            country=COUNTRIES[int(merchants.country[chosen])],
            lat=float(merchants.lat[chosen]) if present else None,
            lon=float(merchants.lon[chosen]) if present else None,
        )

    def _other_card(self, campaign: str, declines: int) -> str:
        """The card that a campaign uses next: another one after every decline."""
        cards = len(self._world.population.cards)
        return card_id(int(chance(self._seed, "card", campaign, declines) * cards))


def _merchant(tx: Transaction) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    assert tx.merchant_id is not None
    return np.array([int(tx.merchant_id[1:])], np.int32)
