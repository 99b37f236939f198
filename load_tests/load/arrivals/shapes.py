"""Shapes of arrivals: `constant`, `poisson`, `steps:1,2,4`, `ramp:0.5,2`, `bursts:5,1,10`, `recorded:DIR`.

Numbers of steps, ramp and bursts are multiples of the run's rate. All but `constant` are Poisson processes,
as arrivals of independent customers are; a recorded one repeats a history's times, stretched to the rate.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles
from fraudsim.errors import FraudsimError

NAMES: Final = ("constant", "poisson", "steps", "ramp", "bursts", "recorded")
STEP_S: Final = 0.001
"""Grid on which a rate that changes is integrated."""
LOWEST: Final = 1e-3
"""Lowest multiple of the rate."""


@dataclass(frozen=True)
class Shape:
    """A shape with its numbers (multiples of the rate; for bursts multiple, length s, period s)."""

    name: str
    numbers: tuple[float, ...] = ()
    folder: Path | None = None
    """The history of a recorded shape."""

    def multiple_at(self, times_s: Doubles, seconds: float) -> Doubles:
        """The multiple of the run's rate at these times since the start."""
        numbers = self.numbers
        if self.name == "steps":
            index = np.minimum((times_s / seconds * len(numbers)).astype(np.int64), len(numbers) - 1)
            return np.asarray(numbers, dtype=np.float64)[index]
        if self.name == "ramp":
            return numbers[0] + (numbers[1] - numbers[0]) * times_s / seconds
        if self.name == "bursts":
            multiple, length_s, period_s = numbers
            return np.where(times_s % period_s < length_s, multiple, 1.0)
        return np.ones_like(times_s)


def parse_shape(text: str) -> Shape:
    """The shape that a text names.

    Raises:
        FraudsimError: there is no such shape, or its numbers are not what it takes.
    """
    name, _, rest = text.partition(":")
    if name not in NAMES:
        raise FraudsimError(f"--arrivals {text}: there is no shape {name}; name one of {', '.join(NAMES)}")
    if name == "recorded":
        if not rest:
            raise FraudsimError(f"--arrivals {text}: name the history: recorded:runs/latest/history")
        return Shape(name, folder=Path(rest))
    try:
        numbers = tuple(float(number) for number in rest.split(",")) if rest else ()
    except ValueError:
        raise FraudsimError(f"--arrivals {text}: {rest} are not numbers with commas between") from None
    _check_numbers(text, name, numbers)
    return Shape(name, numbers)


def _check_numbers(text: str, name: str, numbers: tuple[float, ...]) -> None:
    wanted_count = {"constant": "0", "poisson": "0", "ramp": "2", "bursts": "3", "steps": "1 or more"}[name]
    count_fits = len(numbers) >= 1 if name == "steps" else len(numbers) == int(wanted_count)
    if not count_fits:
        raise FraudsimError(f"--arrivals {text}: {name} takes {wanted_count} numbers, not {len(numbers)}")
    if not all(math.isfinite(number) and number >= LOWEST for number in numbers):
        raise FraudsimError(f"--arrivals {text}: each number must be at least {LOWEST:g}")
    if name == "bursts" and numbers[1] >= numbers[2]:
        raise FraudsimError(
            f"--arrivals {text}: a burst of {numbers[1]:g} s does not fit in {numbers[2]:g} s"
        )
