"""One run of the study of deadlines: a live line under load, or a twin."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fraudsim.settings import Settings
from simulator.line.scoring import Scoring
from simulator.regimes import REGIMES
from studies.comparison.figures import MeasuredLine
from studies.deadline.degraded_scoring import DegradedScoring
from studies.deadline.live_line import degraded_shares
from studies.deadline.plan import WHOLE, DeadlinePlan, TwinArm
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import StudyWorld, study_world

_FRESH: Final = REGIMES["real-time"]


def run_cell(plan: DeadlinePlan, cell: StudyCell, settings: Settings, scratch: Path) -> MeasuredLine:
    """Run one cell: a twin; that of nothing degraded is preceded by the live half, on an idle machine.

    Raises:
        FraudsimError: a line does not start, or a world has no fraud to learn from.
    """
    arm = plan.twins()[cell.arm]
    measures: dict[str, float] = {}
    if cell.arm == WHOLE and cell.seed <= plan.load.lines:
        with _machine(scratch, fcntl.LOCK_EX), TemporaryDirectory(prefix="fraudsim-deadline-") as folder:
            measures = degraded_shares(Path(folder), plan.load, cell.seed)
    with _machine(scratch, fcntl.LOCK_SH):
        world = study_world(plan.spec, cell.seed, settings, scratch)
        return MeasuredLine(line=world.run(_FRESH, twin_scoring(world, arm)), measures=measures)


def twin_scoring(world: StudyWorld, arm: TwinArm) -> Scoring:
    """What decides in a twin."""
    fitted = world.fit(_FRESH, arm.fit_seed)
    assert fitted is not None
    if not arm.degraded:
        return world.scoring(fitted)
    fallback = world.fit(REGIMES["request-only"], arm.fit_seed)
    assert fallback is not None
    policy = world.policy(fitted.flag_from)
    return DegradedScoring(fitted.arm, fallback.arm, policy, arm.degraded, world.seed)


@contextmanager
def _machine(scratch: Path, kind: int) -> Iterator[None]:
    """The machine for the length of the block: a live line has it alone, twins share it."""
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / "machine.lock").open("w") as file:
        fcntl.flock(file, kind)
        yield
