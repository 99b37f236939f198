"""Of rate, number of cards and speed any two determine the third."""

from fraudsim.errors import FraudsimError

DAY_S = 86_400.0
TOLERANCE = 0.02


def speed_for(rate: float, transactions_per_day: float) -> float:
    """Event seconds per wall second at which a history's habits give `rate` transactions per wall second."""
    return rate * DAY_S / transactions_per_day


def consistent_speed(rate: float, speed: float | None, transactions_per_day: float, cards: int) -> float:
    """The speed to go at.

    Raises:
        FraudsimError: a speed is given that contradicts rate and cards; names the consistent value.
    """
    derived = speed_for(rate, transactions_per_day)
    if speed is None:
        return derived
    if abs(speed - derived) > TOLERANCE * derived:
        raise FraudsimError(
            f"--speed {speed:g} contradicts --rate {rate:g} with --cards {cards}: their habits give "
            f"{transactions_per_day:,.0f} transactions a day, so the speed is {derived:.1f} "
            f"(or the rate {speed * transactions_per_day / DAY_S:.1f}); leave one of them out"
        )
    return speed
