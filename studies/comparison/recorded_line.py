"""A line that notes what a study asks of its decisions, and what decides in it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from producers.world.settings import consequences
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.policy import Policy
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.regimes import Regime
from studies.frame.study_world import FittedArm, StudyWorld

Note = Callable[[DecidedStretch], None]


class RecordedLine(SimulatedLine):
    """A world's days under a regime, with reacting campaigns; `note` is called with every stretch."""

    def __init__(self, world: StudyWorld, regime: Regime, scoring: Scoring | None, note: Note) -> None:
        super().__init__(world.traffic, regime, scoring, consequences(world.settings), reacting=True)
        self._note = note

    def run(self) -> Iterator[DecidedStretch]:
        """As `SimulatedLine.run`."""
        for decided in super().run():
            self._note(decided)
            yield decided


def policy_of(world: StudyWorld, flag_from: float) -> Policy:
    """The settings' policy, with an alert budget."""
    policy = load_policy(world.settings.policy or SHIPPED)
    return replace(policy, limits=replace(policy.limits, flag_from_probability=flag_from))


def scoring_of(world: StudyWorld, fitted: FittedArm) -> Scoring:
    """What decides with a model under its budget."""
    return Scoring(fitted.arm, policy_of(world, fitted.flag_from), "champion")
