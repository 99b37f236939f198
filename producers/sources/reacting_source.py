"""A source whose fraud campaigns react to declines: lower amounts, another merchant or card, or an end. Pure.

A campaign's reaction, its patience and all its random draws follow from the seed and its id.
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

Reaction = Literal["lower", "elsewhere", "move_on", "end"]
REACTION_SHARES: Final[tuple[tuple[Reaction, float], ...]] = (
    ("lower", 0.4),
    ("elsewhere", 0.25),
    ("move_on", 0.2),
    ("end", 0.15),
)
"""Each reaction with its share of the campaigns; assumed."""
MAX_PATIENCE: Final = 3
"""Declines after which the most patient campaigns react; the least patient react after one."""
LOWER_FACTOR: Final = 0.6
"""Of the amount, for every further decline."""
MERCHANT_DRAWS: Final = 4
"""Merchants drawn for "elsewhere"; if all are closed, the campaign stays at its own."""
MAX_TRACKED: Final = 50_000
"""Latest fraudulent transactions kept with their campaign; declines of older ones are ignored."""


def reaction_of(campaign_id: str, seed: int) -> Reaction:
    """What a campaign does when its patience is exhausted."""
    draw = chance(seed, "way", campaign_id)
    for reaction, share in REACTION_SHARES:
        if draw < share:
            return reaction
        draw -= share
    return REACTION_SHARES[-1][0]


def patience_of(campaign_id: str, seed: int) -> int:
    """Declines after which a campaign reacts."""
    return 1 + int(chance(seed, "patience", campaign_id) * MAX_PATIENCE)


class ReactingSource:
    """A `Source` around another, with a hook that applies the reactions.

    `items` yields the source's records unchanged, so they can be prefetched; `react` is called just before a
    record is sent and may change it.
    """

    def __init__(self, source: Source, world: World) -> None:
        self._source = source
        self._world = world
        self._seed = world.config.seed
        self._campaign_of: dict[str, str] = {}
        self._declined_ids: deque[str] = deque()
        self._declines: Counter[str] = Counter()
        self._left_out: set[str] = set()
        self.counts: Counter[str] = Counter()
        """Transactions changed or left out, by reaction."""
        self.name = f"{source.name}-reacting"
        self.start_ms = source.start_ms

    def items(self) -> Iterator[Item]:
        """The source's records."""
        for item in self._source.items():
            if item.campaign_id is not None and isinstance(item.event, Transaction):
                self._campaign_of[item.event.tx_id] = item.campaign_id
                if len(self._campaign_of) > MAX_TRACKED:
                    del self._campaign_of[next(iter(self._campaign_of))]
            yield item

    def add_decline(self, tx_id: str) -> None:
        """Take in the decline of a transaction; from any thread."""
        self._declined_ids.append(tx_id)

    def react(self, item: Item) -> Item | None:
        """The record as it is to be sent; None if its campaign has ended before it."""
        while self._declined_ids:
            campaign = self._campaign_of.get(self._declined_ids.popleft())
            if campaign is not None:
                self._declines[campaign] += 1
        campaign = item.campaign_id
        if campaign is None:
            return item
        if isinstance(item.event, Truth) and item.event.tx_id in self._left_out:
            self._left_out.remove(item.event.tx_id)
            return None
        excess_declines = self._declines[campaign] - patience_of(campaign, self._seed)
        if excess_declines < 0 or not isinstance(item.event, Transaction):
            return item
        reaction = reaction_of(campaign, self._seed)
        self.counts[reaction] += 1
        if reaction == "end":
            self._left_out.add(item.event.tx_id)
            return None
        if reaction == "lower":
            return item._replace(event=self._lowered(item.event, excess_declines + 1))
        if reaction == "elsewhere":
            return item._replace(event=self._elsewhere(item.event))
        card = self._other_card(campaign, self._declines[campaign])
        return item._replace(key=card, event=msgspec.structs.replace(item.event, card_id=card))

    def _lowered(self, tx: Transaction, declines: int) -> Transaction:
        cents = max(round(tx.amount_cents * LOWER_FACTOR**declines), MIN_CENTS)
        charged = chargeable_amounts(self._world.population, _merchant(tx), np.array([cents], np.int64))
        return msgspec.structs.replace(tx, amount_cents=int(charged[0]))

    def _elsewhere(self, tx: Transaction) -> Transaction:
        """The same purchase at another open merchant of the category; unchanged if all drawn are closed."""
        population = self._world.population
        merchants = population.merchants
        category = merchants.category[_merchant(tx)].astype(np.int64)
        draws = np.array([chance(self._seed, "elsewhere", tx.tx_id, n) for n in range(MERCHANT_DRAWS)])
        candidates = population.merchants_by_category.pick(np.repeat(category, MERCHANT_DRAWS), draws)
        closed = closed_rows(population, np.full(MERCHANT_DRAWS, tx.ts), candidates)
        open_merchants = np.delete(candidates, closed)
        if not len(open_merchants):
            return tx
        chosen = int(open_merchants[0])
        has_location = tx.lat is not None
        return msgspec.structs.replace(
            tx,
            merchant_id=merchant_id(chosen),
            country=COUNTRIES[int(merchants.country[chosen])],
            lat=float(merchants.lat[chosen]) if has_location else None,
            lon=float(merchants.lon[chosen]) if has_location else None,
        )

    def _other_card(self, campaign: str, declines: int) -> str:
        """The card that a campaign uses next; it changes with every decline."""
        cards = len(self._world.population.cards)
        return card_id(int(chance(self._seed, "card", campaign, declines) * cards))


def _merchant(tx: Transaction) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    assert tx.merchant_id is not None
    return np.array([int(tx.merchant_id[1:])], np.int32)
