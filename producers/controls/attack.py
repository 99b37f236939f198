"""The records of an attack that somebody launched: a function of control, place and world. Pure."""

from dataclasses import dataclass
from typing import Final

from fraudsim.log.events import RunControl
from producers.controls.controls import Placement
from producers.rng import generator, salt
from producers.scenario.extra_items import ExtraDraws, attack_items, campaigns_of
from producers.sources.source import Item
from producers.world.world import World

DEFAULT_CAMOUFLAGE: Final = 0.5


@dataclass(frozen=True)
class _Plan:
    """A `producers.scenario.extra_items.AttackPlan`."""

    typology: str
    campaigns: int
    camouflage: float
    tempo: float | None


def records_of(placement: Placement, world: World) -> list[Item]:
    """The attack's transactions, truth and labels, in order of `due_ms`; of a drift, none.

    Every draw follows from the world's seed and the control's id, so a sender that was killed, and whoever
    counts, make the same again.
    """
    control = placement.control
    if control.kind != "attack":
        return []
    seed, stream = world.config.seed, f"control-{control.control_id}"
    plan = _plan_of(control)
    campaigns = campaigns_of(plan, world, placement.at_ms, generator(seed, stream))
    if not campaigns:
        return []
    ids = [f"{control.control_id}-{number}" for number in range(len(campaigns))]
    draws = ExtraDraws(salt(seed, f"{stream}-tx"), generator(seed, f"{stream}-labels"))
    return list(attack_items(world, campaigns, ids, plan.typology, draws))


def _plan_of(control: RunControl) -> _Plan:
    assert control.typology is not None
    camouflage = DEFAULT_CAMOUFLAGE if control.camouflage is None else control.camouflage
    return _Plan(control.typology, control.campaigns or 1, camouflage, control.tempo)
