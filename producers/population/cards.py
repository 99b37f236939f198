"""The cards of a population and their habits, from one seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Doubles, Flags, Int32s, Ints
from producers.calendar.pay_days import PAY_DAYS
from producers.calendar.rhythm import zone_of
from producers.population.columns import ipv4_address
from producers.population.merchant_picker import MerchantPicker
from producers.population.merchants import Merchants, quantise_degrees
from producers.reference import CATEGORIES, CITIES, COUNTRIES, HOME_CITIES
from producers.rng import generator, mix64, salt

MEAN_TRANSACTIONS_PER_DAY: Final = 2.5
TASTES: Final = 16
"""Distinct ways to divide visits among the slots of a repertoire."""
DRAWS: Final = 1024
"""Resolution of the table that turns a uniform draw into a slot."""
MAX_SUBSCRIPTIONS: Final = 3
COMMUTER: Final = 1
GAMER: Final = 2

SLOT_CATEGORY: Final = tuple(i for i, category in enumerate(CATEGORIES) for _ in range(category.slots))
"""Category of each slot of a repertoire."""


@dataclass(frozen=True, eq=False)
class Cards:
    """Arrays of one entry or row per card."""

    city: NDArray[np.int8]
    country: NDArray[np.int8]
    home_lat: Doubles
    home_lon: Doubles
    zone: NDArray[np.int8]
    """Hours east of Greenwich, by longitude."""
    log_income: Doubles
    """Added to the log of every amount, by income class."""
    per_day: Doubles
    """Everyday transactions expected on an average day."""
    rhythm: NDArray[np.int8]
    """Index into `rhythm.RHYTHMS`."""
    taste: NDArray[np.int8]
    """Row of `Population.tastes`."""
    pay_day: NDArray[np.int8]
    """Day of the month, 31 for the last one."""
    repertoire: Int32s
    """(cards, slots): the merchants that a card returns to; `SLOT_CATEGORY` gives each slot's category."""
    bursty: NDArray[np.int8]
    """0, or `COMMUTER` or `GAMER`: an honest card that makes many small payments an hour."""
    phone_wallet: Flags
    """Pays in shops by phone, so that shops see a device."""
    device: NDArray[np.uint64]
    second_device: NDArray[np.uint64]
    home_ip: NDArray[np.uint32]
    carrier_ip: NDArray[np.uint32]
    """Shared by many cards of a city (carrier-grade NAT)."""
    subscription: Int32s
    """(cards, MAX_SUBSCRIPTIONS): merchant charged each month, -1 for none."""
    subscription_day: NDArray[np.int8]
    """Day of the month, 1 to 28."""
    subscription_cents: Ints

    def __len__(self) -> int:
        return len(self.city)


def draw_tastes(seed: int) -> Doubles:
    """(TASTES, slots): category weights, tilted to or from the web, with noise; rows sum to 1."""
    rng = generator(seed, "tastes")
    slots = len(SLOT_CATEGORY)
    weights = np.array([CATEGORIES[c].weight / CATEGORIES[c].slots for c in SLOT_CATEGORY])
    online = np.array([CATEGORIES[c].kind == "online" for c in SLOT_CATEGORY])
    tilt = np.exp(np.linspace(-1.2, 1.2, TASTES))[:, None] ** online
    noisy = weights * tilt * np.exp(rng.normal(0.0, 0.6, size=(TASTES, slots)))
    shares: Doubles = noisy / noisy.sum(axis=1, keepdims=True)
    return shares


def slots_of_draws(tastes: Doubles) -> NDArray[np.uint8]:
    """(TASTES, DRAWS): slot of a repertoire by taste and draw, from (TASTES, slots) weights."""
    cumulative = np.cumsum(tastes, axis=1)
    middle = (np.arange(DRAWS) + 0.5) / DRAWS
    slots = np.stack([np.searchsorted(row / row[-1], middle) for row in cumulative])
    return slots.clip(0, tastes.shape[1] - 1).astype(np.uint8)


def draw_cards(seed: int, count: int, merchants: Merchants, cities: int, category_fallback: Ints) -> Cards:
    """`count` cards that live in the first of `reference.CITIES` and pay at `merchants`.

    `category_fallback` gives, for each category, one that has merchants.
    """
    rng = generator(seed, "cards")
    sizes = np.array([city[4] for city in CITIES[: min(cities, HOME_CITIES)]])
    city = rng.choice(len(sizes), size=count, p=sizes / sizes.sum())
    centres = np.array([c[2:4] for c in CITIES])[city]
    offsets = rng.normal(0.0, 0.08, size=(count, 2))
    income = rng.choice(5, size=count, p=[0.15, 0.25, 0.3, 0.2, 0.1])
    per_day = rng.gamma(2.0, MEAN_TRANSACTIONS_PER_DAY / 2.0, size=count)
    bursty = rng.choice([0, COMMUTER, GAMER], size=count, p=[0.93, 0.035, 0.035])
    number = np.arange(count, dtype=np.uint64)
    # One card in twelve shares the device and address of the card before it: a household.
    household = number - (rng.random(count) < 1 / 12) * (number > 0)
    device_salt, ip_salt = salt(seed, "device"), salt(seed, "ip")
    recurring = np.flatnonzero([c.kind == "recurring" for c in CATEGORIES])
    subscribed = rng.random((count, MAX_SUBSCRIPTIONS)) < 0.45
    category = category_fallback[rng.choice(recurring, size=(count, MAX_SUBSCRIPTIONS))]
    picker = MerchantPicker(merchants.category.astype(np.int64), len(CATEGORIES), merchants.popularity)
    subscription = picker.pick(category.ravel(), rng.random(count * MAX_SUBSCRIPTIONS)).reshape(
        category.shape
    )
    log_income = np.array([-0.45, -0.2, 0.0, 0.25, 0.6])[income]
    log_medians = np.log([c.median_cents for c in CATEGORIES])
    log_cents = log_medians[merchants.category[subscription]] + 0.4 * rng.normal(size=category.shape)
    return Cards(
        city=city.astype(np.int8),
        country=np.array([COUNTRIES.index(c[1]) for c in CITIES], np.int8)[city],
        home_lat=quantise_degrees(centres[:, 0] + offsets[:, 0]),
        home_lon=quantise_degrees(centres[:, 1] + offsets[:, 1]),
        zone=zone_of(centres[:, 1]),
        log_income=log_income,
        per_day=np.maximum(per_day, 0.05),
        rhythm=rng.choice(4, size=count, p=[0.5, 0.25, 0.15, 0.1]).astype(np.int8),
        taste=rng.integers(0, TASTES, size=count).astype(np.int8),
        pay_day=generator(seed, "pay days")
        .choice(list(PAY_DAYS), size=count, p=list(PAY_DAYS.values()))
        .astype(np.int8),
        repertoire=_draw_repertoire(seed, merchants, city, cities, category_fallback),
        bursty=bursty.astype(np.int8),
        phone_wallet=rng.random(count) < 0.3,
        device=mix64((household * np.uint64(4)) ^ device_salt) | np.uint64(1),
        second_device=mix64((number * np.uint64(4) + np.uint64(1)) ^ device_salt) | np.uint64(1),
        home_ip=ipv4_address(mix64(household ^ ip_salt)),
        carrier_ip=ipv4_address(
            mix64((city * 8 + rng.integers(0, 8, size=count)).astype(np.uint64) + ip_salt)
        ),
        subscription=np.where(subscribed, subscription, -1).astype(np.int32),
        subscription_day=rng.integers(1, 29, size=category.shape).astype(np.int8),
        subscription_cents=np.maximum(np.rint(np.exp(log_cents)), 100).astype(np.int64) // 10 * 10 + 9,
    )


def _draw_repertoire(
    seed: int,
    merchants: Merchants,
    home: Ints,
    cities: int,
    category_fallback: Ints,
) -> Int32s:
    """(cards, slots): merchants of each slot's category; shops of the home city, web shops by popularity."""
    rng = generator(seed, "repertoire")
    count = len(home)
    category = merchants.category.astype(np.int64)
    nearby = MerchantPicker(
        category * cities + merchants.city, len(CATEGORIES) * cities, merchants.popularity**0.6
    )
    # Weights flatter than popularity: everybody knows the big shops, yet most cards have their own.
    anywhere = MerchantPicker(category, len(CATEGORIES), merchants.popularity**0.8)
    repertoire = np.empty((count, len(SLOT_CATEGORY)), np.int32)
    for slot, slot_category in enumerate(SLOT_CATEGORY):
        stocked = int(category_fallback[slot_category])
        draw = rng.random(count)
        repertoire[:, slot] = anywhere.pick(np.full(count, stocked), draw)
        if CATEGORIES[stocked].kind in ("online", "recurring"):
            continue
        group = stocked * cities + home
        has_nearby = nearby.has(group)
        repertoire[has_nearby, slot] = nearby.pick(group[has_nearby], draw[has_nearby])
    return repertoire
