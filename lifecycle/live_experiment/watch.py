"""An experiment on a live line: looks at the archive, drives the registry's roles, rolls back by itself.

The state is written before the roles are changed, and the roles follow from it: a controller that was killed
at any moment goes on where the file says. Nothing here decides a payment; without a controller B keeps its
cards, and nobody watches it.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from fraudsim.errors import FraudsimError
from lifecycle.evidence.money import OfflineGain
from lifecycle.experiment.controller import Look, advance, begin_stage
from lifecycle.experiment.observer import StageObserver
from lifecycle.experiment.stages import Stage
from lifecycle.experiment.state import ExperimentState, Step, read_state, write_state
from lifecycle.live_experiment.archived_looks import ArchivedLooks
from lifecycle.live_experiment.registry_roles import check_alone, roles_for
from model.artefact.files import load_model
from model.registry.audit import Cause
from model.registry.versions import change_aliases, folder_of, read_aliases
from producers.labels.consequences import Consequences
from scorer.policy.policy import Policy

LOCK_FILE: Final = "experiment.lock"
JUMP_MS: Final = 2 * 86_400_000
"""Event time that may pass between two looks; beyond, the clock has jumped and the stage begins anew."""

Say = Callable[[str], None]


@contextmanager
def only_controller(registry: Path) -> Iterator[None]:
    """Hold the experiment against other controllers.

    Raises:
        FraudsimError: another one runs, or the registry cannot be written.
    """
    try:
        descriptor = os.open(registry / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise FraudsimError(f"experiment {registry / LOCK_FILE}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise FraudsimError(
            f"experiment: another `model experiment start` watches {registry}; there is one at a time"
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def begin(
    registry: Path,
    challenger: str,
    salt: str,
    stages: tuple[Stage, ...],
    maturity_days: float,
    policy: Policy,
    run: Path,
    offline: OfflineGain | None = None,
) -> ExperimentState:
    """A new experiment in the registry, or the one that is running with this challenger.

    Raises:
        FraudsimError: another one is running, a role is in the way, or the policy does not explore.
    """
    running, aliases = read_state(registry), read_aliases(registry)
    if running is not None and running.running and running.challenger == challenger:
        return running
    check_alone(aliases, aliases.champion, challenger, running)
    if not policy.exploration.share and any(stage.tests_money for stage in stages):
        raise FraudsimError(
            f"experiment: policy {policy.version} has exploration.share=0, so nobody learns what a decline "
            "stopped, and net loss cannot be tested; set a share, or end before 25 % by --stages"
        )
    load_model(folder_of(registry, challenger))
    state = ExperimentState(
        champion=aliases.champion,
        challenger=challenger,
        salt=salt,
        stages=stages,
        maturity_days=maturity_days,
        run=str(run),
        offline=offline,
    )
    write_state(registry, state)
    return state


def stop(registry: Path) -> ExperimentState:
    """End the running experiment: B decides nothing any more.

    Raises:
        FraudsimError: none is running.
    """
    state = read_state(registry)
    if state is None or not state.running:
        raise FraudsimError(f"experiment: none is running in {registry}")
    step = Step(event_ms=0, wall_ms=_wall_ms(), stage=state.current.name, what="stopped")
    stopped = replace(state, status="stopped", reason="stopped by hand", steps=[*state.steps, step])
    write_state(registry, stopped)
    _change_roles(registry, stopped)
    return stopped


def _change_roles(registry: Path, state: ExperimentState) -> None:
    """Give the registry the roles that the state asks for, and record why."""
    reason = state.reason or f"stage {state.current.name}"
    cause = Cause(actor="model experiment", reason=reason)
    change_aliases(registry, lambda aliases: roles_for(state, aliases), cause)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


class LiveExperiment:
    """Watches one experiment; `look` is called again and again."""

    def __init__(
        self, registry: Path, run_dir: Path, policy: Policy, rules: Consequences, say: Say = lambda _: None
    ) -> None:
        """Raises FraudsimError where there is no experiment, or a model cannot be loaded."""
        state = read_state(registry)
        if state is None:
            raise FraudsimError(f"experiment: there is none in {registry}")
        models = (
            load_model(folder_of(registry, state.champion)),
            load_model(folder_of(registry, state.challenger)),
        )
        self._registry, self._say = registry, say
        self._archive = ArchivedLooks(run_dir, models, policy, rules)
        self._observer = StageObserver(state.maturity_days, rules.review_cost_cents)
        self._observer.restart(state.began_ms)
        self._last_ms = 0

    def look(self) -> ExperimentState:
        """Read what is new, decide, write the state, change the roles. Returns the state.

        Raises:
            FraudsimError: somebody changed the champion meanwhile, or a file cannot be read or written.
        """
        state = read_state(self._registry)
        assert state is not None
        if not state.running:
            return state
        if state.steps:
            _change_roles(self._registry, state)
        self._archive.read(self._observer, state)
        now_ms = self._archive.last_ms
        if not now_ms:
            return state
        after = self._decide(state, now_ms)
        current = read_state(self._registry)
        if current is None or not current.running:
            return current or state  # it was stopped meanwhile
        write_state(self._registry, after)
        _change_roles(self._registry, after)
        if (after.stage, after.began_ms, after.status) != (state.stage, state.began_ms, state.status):
            self._begin_stage(after)
        self._last_ms = now_ms
        return after

    def _decide(self, state: ExperimentState, now_ms: int) -> ExperimentState:
        seen = self._observer
        look = Look(now_ms, seen.tallies, seen.mature(now_ms), len(self._archive.misassigned), _wall_ms())
        if not state.steps:
            return begin_stage(state, 0, look)
        jump_ms = now_ms - (self._last_ms or now_ms)
        if not 0 <= jump_ms <= JUMP_MS:
            self._say(
                f"event time jumped by {jump_ms / 3_600_000:+.1f} h: stage {state.current.name} begins anew"
            )
            return begin_stage(state, state.stage, look)
        return advance(state, look)

    def _begin_stage(self, state: ExperimentState) -> None:
        if state.running:
            self._say(f"stage {state.current.name} begins")
            self._observer.restart(state.began_ms)
            self._archive.begin_stage()
        else:
            self._say(f"{state.status}: {state.reason}")
            for line in meanwhile(state, self._observer):
                self._say(line)


def meanwhile(state: ExperimentState, observer: StageObserver) -> Iterator[str]:
    """What B did until it ended: how long, for how many cards, and what it cost as far as is known."""
    live = [step for step in state.steps if step.stage != "shadow"]
    if not live:
        yield "B decided for no card"
        return
    hours = (live[-1].event_ms - live[0].event_ms) / 3_600_000
    seconds = (live[-1].wall_ms - live[0].wall_ms) / 1_000
    tallies = observer.tallies
    in_b = tallies.in_b
    of_b, of_a = int(in_b.sum()), int((~in_b).sum())
    yield f"B decided for {hours:,.1f} hours of event time, {seconds:,.1f} s of wall time"
    if of_a and of_b:
        cost_b, cost_a = (float(tallies["loss"][arm].sum()) for arm in (in_b, ~in_b))
        excess = cost_b - cost_a * of_b / of_a
        yield (
            f"net loss known so far in the last stage: {cost_b / 100:,.2f} on {of_b:,} cards of B, "
            f"{cost_a / 100:,.2f} on {of_a:,} of A: {excess / 100:+,.2f} against as many cards of A"
        )
