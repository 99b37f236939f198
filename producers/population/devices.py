"""Devices and IP addresses that cards pay from."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Int32s
from producers.population.columns import ipv4_address
from producers.population.population import Population
from producers.rng import mix64, words64

CARRIER_SHARE: Final = 0.35
"""Web purchases over the mobile carrier."""
DEVICE_LIFE_DAYS: Final = 500


def own_device(
    population: Population, card: Int32s, day: int, rng: np.random.Generator
) -> NDArray[np.uint64]:
    """One of the card's own devices; each is replaced every `DEVICE_LIFE_DAYS`."""
    cards = population.cards
    main = cards.device[card]
    device = np.where(rng.random(len(card)) < 0.85, main, cards.second_device[card])
    age = (device % np.uint64(DEVICE_LIFE_DAYS)).astype(np.int64) + day
    return mix64(device + (age // DEVICE_LIFE_DAYS).astype(np.uint64)) | np.uint64(1)


def fresh_devices(count: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Devices not used before."""
    return words64(rng, count) | np.uint64(1)


def own_address(population: Population, card: Int32s, rng: np.random.Generator) -> NDArray[np.uint32]:
    """The card's home address, its carrier's, or (one in ten) an address not used before."""
    draw = rng.random(len(card))
    cards = population.cards
    ip = np.where(draw < CARRIER_SHARE, cards.carrier_ip[card], cards.home_ip[card])
    away = np.flatnonzero(draw > 0.9)
    ip[away] = ipv4_address(words64(rng, len(away)))
    return ip
