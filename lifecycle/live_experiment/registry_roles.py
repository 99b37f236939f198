"""The roles that an experiment's state asks of the registry. Pure."""

from fraudsim.errors import FraudsimError
from lifecycle.experiment.state import ExperimentState
from model.registry import aliases as roles
from model.registry.aliases import Aliases


def roles_for(state: ExperimentState, aliases: Aliases) -> Aliases:
    """The roles as the state wants them; equal to `aliases` where they are so already.

    Raises:
        FraudsimError: somebody else gave B's champion or B another role meanwhile.
    """
    challenger = state.challenger
    if state.status == "promoted":
        return roles.promote(aliases, challenger)
    if not state.running:
        return _without(aliases, challenger)
    if aliases.champion != state.champion:
        raise FraudsimError(
            f"experiment: the champion is {aliases.champion} now, it began with {state.champion}; "
            "`fraudsim model experiment stop` ends it"
        )
    if not state.current.share:
        return roles.add_shadow(aliases, challenger)
    if aliases.role_of(challenger) == "shadow":
        aliases = _without(aliases, challenger)
    return roles.add_challenger(aliases, challenger, state.current.share, state.salt)


def _without(aliases: Aliases, challenger: str) -> Aliases:
    if aliases.role_of(challenger) in ("challenger", "shadow"):
        return roles.remove(aliases, challenger)
    return aliases


def check_alone(aliases: Aliases, champion: str, challenger: str, running: ExperimentState | None) -> None:
    """Raise FraudsimError where another experiment decides for cards, or B has a role already."""
    if running is not None and running.running:
        raise FraudsimError(
            f"experiment: {running.challenger} is in one already (stage {running.current.name}); a card "
            "belongs to one experiment: wait, or `fraudsim model experiment stop`"
        )
    if aliases.challengers:
        others = ", ".join(item.version for item in aliases.challengers)
        raise FraudsimError(
            f"experiment: {others} decides for some cards already; `fraudsim model stop {others}` ends that"
        )
    if challenger == champion:
        raise FraudsimError(f"experiment: {challenger} is the champion; name another version")
