"""Who pays and who is paid: cards and merchants of a world, from one seed.

Pure. Places are multiples of 1e-4 degree and money is whole cents, so that the last bit of a
platform's `exp` does not reach the data.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from producers.calendar.growth import NO_GROWTH, TrafficGrowth
from producers.population.cards import Cards, make_cards, make_tastes
from producers.population.merchant_picker import MerchantPicker
from producers.population.merchants import Merchants, make_merchants
from producers.reference import CATEGORIES, CITIES


@dataclass(frozen=True, eq=False)
class Population:
    """Everybody in a world. Compared by identity."""

    seed: int
    cards: Cards
    merchants: Merchants
    cities: int
    """Cities in use: the first of `catalogue.CITIES`."""
    tastes: NDArray[np.float64]
    """(TASTES, slots): share of the visits of each slot of a repertoire; rows sum to 1."""
    shops_by_city: MerchantPicker
    """Shops and cash machines by city."""
    always_open_by_city: MerchantPicker
    """Those of `shops_by_city` that are always open: at least one in every city that has any."""
    merchants_by_category: MerchantPicker
    """Every merchant by category."""
    web_shops: MerchantPicker
    """Web shops, one group."""
    category_fallback: NDArray[np.int64]
    """The category itself where it has merchants, else one of its kind that has."""
    growth: TrafficGrowth

    @property
    def transactions_per_day(self) -> float:
        """Everyday transactions expected on an average day, before any growth."""
        return float(self.cards.per_day.sum())


@lru_cache(maxsize=4)
def build_population(cards: int, merchants: int, seed: int, growth: TrafficGrowth = NO_GROWTH) -> Population:
    """Everybody in a world of `cards` cards and `merchants` merchants (both ≥ 1).

    Merchants' popularity follows Zipf's law with exponent 1.05; a card's daily rate is gamma with
    shape 2 and mean 2.5.
    """
    cities = int(np.clip(merchants // 30, 1, len(CITIES)))
    paid = make_merchants(seed, merchants, cities)
    category = paid.category.astype(np.int64)
    present = np.bincount(category, minlength=len(CATEGORIES)) > 0
    any_of = np.arange(len(CATEGORIES))
    for index, wanted in enumerate(CATEGORIES):
        if not present[index]:
            same = [i for i, c in enumerate(CATEGORIES) if present[i] and c.kind == wanted.kind]
            any_of[index] = same[0] if same else int(category[0])
    shops = np.where(paid.online, -1, paid.city.astype(np.int64))
    web = np.where(np.isin(category, [i for i, c in enumerate(CATEGORIES) if c.kind == "online"]), 0, -1)
    if not (web == 0).any():
        web = np.zeros(merchants, np.int64)
    return Population(
        seed=seed,
        cards=make_cards(seed, cards, paid, cities, any_of),
        merchants=paid,
        cities=cities,
        tastes=make_tastes(seed),
        shops_by_city=MerchantPicker(shops, cities, paid.popularity**0.7),
        always_open_by_city=MerchantPicker(
            np.where(paid.hours.always_open, shops, -1), cities, paid.popularity**0.7
        ),
        merchants_by_category=MerchantPicker(category, len(CATEGORIES), paid.popularity),
        web_shops=MerchantPicker(web, 1, paid.popularity),
        category_fallback=any_of,
        growth=growth,
    )
