"""What a fraud typology is: a way to make the campaigns that start on a day.

To add one: a frozen dataclass on `BaseTypology` in a file of its own, and a
line in the registry. `tests/producers/test_typologies.py` holds every one to the same contract.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from producers.calendar.seasons import level
from producers.population.columns import Columns
from producers.population.population import Population
from producers.rng import generator


@dataclass(frozen=True, eq=False)
class Campaign:
    """One fraudster's doing: every transaction of it is fraud."""

    campaign_id: str
    columns: Columns


class Typology(Protocol):
    """Pure and keyed by (seed, day): the same arguments give the same campaigns."""

    @property
    def name(self) -> str:
        """In lower case with underscores; what `Truth.typology` says."""
        ...

    @property
    def span_days(self) -> int:
        """A campaign's transactions fall on its first day or one of the `span_days - 1` after it."""
        ...

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        """Campaigns starting on a day (counted from 1970-01-01); ids are unique over all days."""
        ...


@dataclass(frozen=True)
class BaseTypology(ABC):
    """A typology whose campaigns are independent of each other; a `Typology`."""

    fraud_share: float
    """Of all transactions."""
    camouflage: float = 0.5
    """0 to 1: how much care is taken to look like the victim."""

    name: ClassVar[str]
    share: ClassVar[float]
    """`fraud_share` of the default mix."""
    span_days: ClassVar[int]
    mean_size: ClassVar[float]
    """Transactions expected of one campaign."""

    def campaigns(self, population: Population, seed: int, day: int) -> list[Campaign]:
        rng = generator(seed, self.name, day)
        # Fraud follows the traffic of the year, so that its share is the same in every season.
        usual = population.transactions_per_day * population.growth.factor(day) * level(day)
        expected = usual * self.fraud_share / self.mean_size
        made = [
            Campaign(f"{self.name}-{day}-{i}", self.transactions(population, seed, day, rng))
            for i in range(int(rng.poisson(expected)))
        ]
        return [campaign for campaign in made if len(campaign.columns)]

    @abstractmethod
    def transactions(self, population: Population, seed: int, day: int, rng: np.random.Generator) -> Columns:
        """One campaign that starts on a day; empty where nobody fits."""
