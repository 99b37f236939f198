"""World, label delays and consequences as the settings give them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings, variable
from producers.labels.consequences import Consequences
from producers.labels.delays import LabelDelays
from producers.world.config import WorldConfig

_SET_ELSEWHERE: Final = {"cards": "--cards", "seed": "FRAUDSIM_SEED", "delays": "FRAUDSIM_LABEL_DELAYS__…"}
T = TypeVar("T", Consequences, LabelDelays, WorldConfig)


def world_config(
    settings: Settings, cards: int, seed: int | None = None, tempo: float | None = None
) -> WorldConfig:
    """The configuration of a world with `cards` cards; `seed` and `tempo` override the settings.

    Raises:
        FraudsimError: a parameter is unknown or out of its range; the message names the variable.
    """
    for name, option in _SET_ELSEWHERE.items():
        if name in settings.world:
            raise FraudsimError(f"setting {variable('world')}__{name.upper()}: give it by {option}")
    return _from_settings(
        WorldConfig,
        "world",
        settings.world if tempo is None else settings.world | {"tempo": tempo},
        cards=cards,
        seed=settings.seed if seed is None else seed,
        delays=label_delays(settings),
    )


def label_delays(settings: Settings) -> LabelDelays:
    """Delays and errors of labels. Raises as `world_config` does."""
    return _from_settings(LabelDelays, "label_delays", settings.label_delays)


def consequences(settings: Settings) -> Consequences:
    """Consequences of decisions. Raises as `world_config` does."""
    return _from_settings(Consequences, "consequences", settings.consequences)


def _from_settings(kind: type[T], setting: str, values: Mapping[str, float], **fixed: Any) -> T:
    """A `kind` from the values of a setting and from fields that no setting may give."""
    whole_names = {field.name for field in fields(kind) if field.type in (int, int | None)}
    setting_names = {field.name for field in fields(kind)} - fixed.keys()
    parameters: dict[str, Any] = {}
    for name, value in values.items():
        if name not in setting_names:
            raise FraudsimError(
                f"setting {variable(setting)}__{name.upper()} is not known; there are "
                f"{', '.join(sorted(setting_names))}"
            )
        if name in whole_names and value != int(value):
            raise FraudsimError(
                f"setting {variable(setting)}__{name.upper()}={value:g} must be a whole number"
            )
        parameters[name] = int(value) if name in whole_names else value
    try:
        return kind(**parameters, **fixed)
    except FraudsimError as error:
        raise FraudsimError(f"setting {variable(setting)}: {error}") from None
