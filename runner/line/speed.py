"""Of rate, number of cards and speed any two determine the third."""

from fraudsim.errors import FraudsimError
from producers.world.world import World

DAY_S = 86_400.0
TOLERANCE = 0.02


def speed_for(rate: float, transactions_per_day: float) -> float:
    """Event seconds per wall second at which a history's habits give `rate` transactions per wall second."""
    return rate * DAY_S / transactions_per_day


def speed_of_run(world: World, first_day: int, rate: float, seconds: float) -> float:
    """Event seconds per wall second at which the live stream's first `rate` · `seconds` transactions take
    `seconds`: no two days are equally busy, so the history's mean would miss the rate by some tenth."""
    wanted = max(1, round(rate * seconds))
    number = first_day
    while len(ts := world.day(number).transactions.ts) <= wanted:
        wanted -= len(ts)
        number += 1
    return float(ts[wanted] - world.day_start_ms(first_day)) / 1000 / seconds


def consistent_speed(speed: float | None, derived: float, rate: float, cards: int) -> float:
    """The speed to go at: `derived`, at which the cards' habits give `rate`.

    Raises:
        FraudsimError: a speed is given that contradicts rate and cards; names the consistent value.
    """
    if speed is None:
        return derived
    if abs(speed - derived) > TOLERANCE * derived:
        raise FraudsimError(
            f"--speed {speed:g} contradicts --rate {rate:g} with --cards {cards}: by their habits that rate "
            f"needs the speed {derived:.1f}, and that speed gives the rate {rate * speed / derived:.1f}; "
            "leave one of them out"
        )
    return speed
