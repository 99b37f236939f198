"""A population: the cards and merchants of a world, from one seed.

Pure. Coordinates are multiples of 1e-4 degree and money is whole cents, so that the last bit of a platform's
`exp` does not reach the data.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fraudsim.arrays import Doubles, Ints
from producers.calendar.growth import NO_GROWTH, TrafficGrowth
from producers.population.cards import Cards, draw_cards, draw_tastes
from producers.population.merchant_picker import MerchantPicker
from producers.population.merchants import Merchants, draw_merchants
from producers.reference import CATEGORIES, CITIES


@dataclass(frozen=True, eq=False)
class Population:
    """Cards, merchants and the groups that merchants are picked from. Compared by identity."""

    seed: int
    cards: Cards
    merchants: Merchants
    cities: int
    """Cities in use: the first of `reference.CITIES`."""
    tastes: Doubles
    """(TASTES, slots): share of the visits of each slot of a repertoire; rows sum to 1."""
    shops_by_city: MerchantPicker
    """Shops and cash machines by city."""
    always_open_by_city: MerchantPicker
    """Those of `shops_by_city` that never close: at least one in every city that has any shop."""
    merchants_by_category: MerchantPicker
    """Every merchant by category."""
    web_shops: MerchantPicker
    """Web shops, one group."""
    category_fallback: Ints
    """The category itself if it has merchants, else one of its kind that has."""
    growth: TrafficGrowth

    @property
    def transactions_per_day(self) -> float:
        """Everyday transactions expected on an average day, before any growth."""
        return float(self.cards.per_day.sum())


@lru_cache(maxsize=4)
def build_population(cards: int, merchants: int, seed: int, growth: TrafficGrowth = NO_GROWTH) -> Population:
    """The population of a world with `cards` cards and `merchants` merchants (both ≥ 1).

    Popularity of merchants follows Zipf's law with exponent 1.05; a card's daily rate is gamma distributed
    with shape 2 and mean 2.5.
    """
    cities = int(np.clip(merchants // 30, 1, len(CITIES)))
    all_merchants = draw_merchants(seed, merchants, cities)
    category = all_merchants.category.astype(np.int64)
    category_fallback = _category_fallback(category)
    shop_city = np.where(all_merchants.online, -1, all_merchants.city.astype(np.int64))
    web_group = np.where(
        np.isin(category, [i for i, c in enumerate(CATEGORIES) if c.kind == "online"]), 0, -1
    )
    if not (web_group == 0).any():
        web_group = np.zeros(merchants, np.int64)
    popularity = all_merchants.popularity
    return Population(
        seed=seed,
        cards=draw_cards(seed, cards, all_merchants, cities, category_fallback),
        merchants=all_merchants,
        cities=cities,
        tastes=draw_tastes(seed),
        shops_by_city=MerchantPicker(shop_city, cities, popularity**0.7),
        always_open_by_city=MerchantPicker(
            np.where(all_merchants.hours.always_open, shop_city, -1), cities, popularity**0.7
        ),
        merchants_by_category=MerchantPicker(category, len(CATEGORIES), popularity),
        web_shops=MerchantPicker(web_group, 1, popularity),
        category_fallback=category_fallback,
        growth=growth,
    )


def _category_fallback(category: Ints) -> Ints:
    """(categories,): the category itself if a merchant has it, else one of the same kind, else any."""
    present = np.bincount(category, minlength=len(CATEGORIES)) > 0
    fallback = np.arange(len(CATEGORIES))
    for index, absent in enumerate(CATEGORIES):
        if not present[index]:
            same_kind = [i for i, c in enumerate(CATEGORIES) if present[i] and c.kind == absent.kind]
            fallback[index] = same_kind[0] if same_kind else int(category[0])
    return fallback
