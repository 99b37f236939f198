"""The interface of a fraud typology: it makes the campaigns that start on a day.

To add one: a frozen dataclass on `BaseTypology` with its figures and `transactions`, in a file of its own,
and a line in `TYPOLOGY_CLASSES`. `testing/contracts/typology.py` checks any typology against this interface.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from producers.calendar.seasons import seasonal_level
from producers.population.columns import Columns
from producers.population.population import Population
from producers.rng import generator


@dataclass(frozen=True, eq=False)
class Campaign:
    """The transactions of one fraud campaign; all of them are fraud."""

    campaign_id: str
    columns: Columns


class Typology(Protocol):
    """Pure and keyed by (seed, day): equal arguments give equal campaigns."""

    @property
    def name(self) -> str:
        """Lower case with underscores; the value of `Truth.typology`."""
        ...

    @property
    def span_days(self) -> int:
        """Days that a campaign lasts at most, counted from the day it starts."""
        ...

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        """Campaigns that start on a day (counted from 1970-01-01); ids are unique over all days."""
        ...


@dataclass(frozen=True)
class BaseTypology(ABC):
    """A `Typology` whose campaigns are independent and start by a Poisson process."""

    fraud_share: float
    """Of all transactions."""
    camouflage: float = 0.5
    """0 to 1: how closely the fraud imitates the victim."""

    name: ClassVar[str]
    share: ClassVar[float]
    """`fraud_share` in the default mix."""
    span_days: ClassVar[int]
    mean_size: ClassVar[float]
    """Mean number of transactions of a campaign."""
    follows_tempo: ClassVar[bool] = True
    """Whether the attack could go faster or slower; not where somebody carries the card to shops."""

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        rng = generator(seed, self.name, day)
        # Fraud follows the traffic of the year, so that its share is the same in every season.
        traffic = population.transactions_per_day * population.growth.factor(day) * seasonal_level(day)
        expected = traffic * self.fraud_share / self.mean_size
        campaigns = [
            Campaign(f"{self.name}-{day}-{i}", self.transactions(population, seed, day, rng))
            for i in range(int(rng.poisson(expected)))
        ]
        return [campaign for campaign in campaigns if len(campaign.columns)]

    @abstractmethod
    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        """One campaign that starts on a day; empty if the population has no victim or merchant for it."""
