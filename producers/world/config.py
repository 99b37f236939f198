"""The configuration of a synthetic world."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from fraudsim.errors import FraudsimError
from producers.labels.delays import LabelDelays

FIRST_DAY: Final = 19_723
"""2024-01-01, a Monday, in days since 1970-01-01."""


@dataclass(frozen=True)
class WorldConfig:
    """Every parameter of a world; equal configurations give equal transactions and labels.

    Raises:
        FraudsimError: a value is out of its range; the message names it.
    """

    cards: int = 5000
    merchants: int | None = None
    """None is a fifth of the cards, at least 30."""
    seed: int = 7
    start_day: int = FIRST_DAY
    """Days from 1970-01-01 to day 0."""
    fraud_scale: float = 1.0
    """Multiplies the share of every typology."""
    camouflage: float = 0.5
    """0 to 1: how closely fraud imitates its victims."""
    growth_per_year: float = 0.0
    """Compound, of the number of transactions; 0 by default, so that days differ by the calendar alone."""
    delays: LabelDelays = field(default_factory=LabelDelays)
    tempo: float = 1.0
    """How many times as fast attacks go, for those typologies that could: at 60 minutes become seconds."""

    def __post_init__(self) -> None:
        ranges = (
            ("cards", self.cards, 1, 20_000_000),
            ("merchants", self.merchants if self.merchants is not None else 1, 1, 5_000_000),
            ("seed", self.seed, 0, 2**63),
            ("start_day", self.start_day, 100, 1_000_000),
            ("fraud_scale", self.fraud_scale, 0, 100),
            ("camouflage", self.camouflage, 0, 1),
            ("growth_per_year", self.growth_per_year, -0.9, 10),
            ("tempo", self.tempo, 0.1, 1_000),
        )
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise FraudsimError(f"world: {name}={value!r} must be between {low} and {high}")

    def as_dict(self) -> dict[str, Any]:
        """Every parameter by name; `tempo` only if it is not 1, as in worlds of earlier versions."""
        parameters = asdict(self)
        if self.tempo == 1:
            del parameters["tempo"]
        return parameters

    @property
    def merchant_count(self) -> int:
        return self.merchants if self.merchants is not None else max(30, self.cards // 5)
