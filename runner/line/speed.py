"""The speed of event time. Of rate, number of cards and speed, any two determine the third."""

from fraudsim.errors import FraudsimError
from producers.world.world import World

DAY_S = 86_400.0
TOLERANCE = 0.02


def speed_for(rate: float, transactions_per_day: float) -> float:
    """Event seconds per wall second at which a history's mean day gives `rate` transactions a wall second."""
    return rate * DAY_S / transactions_per_day


def speed_of_run(world: World, first_day: int, rate: float, seconds: float) -> float:
    """Event seconds per wall second at which the first `rate` · `seconds` live transactions take `seconds`.

    Days differ in their number of transactions: with the history's mean, the rate would be off by a tenth.
    """
    remaining = max(1, round(rate * seconds))
    day = first_day
    while len(ts := world.day(day).transactions.ts) <= remaining:
        remaining -= len(ts)
        day += 1
    return float(ts[remaining] - world.day_start_ms(first_day)) / 1000 / seconds


def consistent_speed(speed: float | None, derived: float, rate: float, cards: int) -> float:
    """The speed of a run: `speed`, or `derived`, at which the cards' habits give `rate`.

    Raises:
        FraudsimError: `speed` differs by more than 2 %; the message names consistent values.
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
