"""The world's parameters as the settings give them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings, variable
from producers.labels.consequences import Consequences
from producers.labels.delays import LabelDelays
from producers.world.config import WorldConfig

_ELSEWHERE: Final = {"cards": "--cards", "seed": "FRAUDSIM_SEED", "delays": "FRAUDSIM_LABEL_DELAYS__…"}
T = TypeVar("T", Consequences, LabelDelays, WorldConfig)


def world_config(settings: Settings, cards: int, seed: int | None = None) -> WorldConfig:
    """A world of so many cards.

    Raises:
        FraudsimError: a parameter is not known or out of its range; the message names the variable.
    """
    for name, where in _ELSEWHERE.items():
        if name in settings.world:
            raise FraudsimError(f"setting {variable('world')}__{name.upper()}: give it by {where}")
    return _made(
        WorldConfig,
        "world",
        settings.world,
        cards=cards,
        seed=settings.seed if seed is None else seed,
        delays=label_delays(settings),
    )


def label_delays(settings: Settings) -> LabelDelays:
    """Who learns of fraud, how late, how wrongly. Raises as `world_config` does."""
    return _made(LabelDelays, "label_delays", settings.label_delays)


def consequences(settings: Settings) -> Consequences:
    """What follows from decisions. Raises as `world_config` does."""
    return _made(Consequences, "consequences", settings.consequences)


def _made(kind: type[T], setting: str, values: Mapping[str, float], **more: Any) -> T:
    whole = {field.name for field in fields(kind) if field.type in (int, int | None)}
    known = {field.name for field in fields(kind)} - more.keys()
    given: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise FraudsimError(
                f"setting {variable(setting)}__{name.upper()} is not known; there are "
                f"{', '.join(sorted(known))}"
            )
        if name in whole and value != int(value):
            raise FraudsimError(
                f"setting {variable(setting)}__{name.upper()}={value:g} must be a whole number"
            )
        given[name] = int(value) if name in whole else value
    try:
        return kind(**given, **more)
    except FraudsimError as error:
        raise FraudsimError(f"setting {variable(setting)}: {error}") from None
