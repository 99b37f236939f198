"""One run of the study: the world of a seed and a tempo under one regime."""

from dataclasses import replace
from pathlib import Path

from fraudsim.settings import Settings
from studies.frame.cell_plan import StudyCell
from studies.frame.line_figures import LineFigures
from studies.frame.study_world import study_world
from studies.freshness.plan import FreshnessPlan


def run_cell(plan: FreshnessPlan, cell: StudyCell, settings: Settings, scratch: Path) -> LineFigures:
    """Run one cell; fraudsters react, and the model is fitted for the regime.

    Raises:
        FraudsimError: its world has no fraud to train on, or a file cannot be written.
    """
    spec = replace(plan.worlds, world=(*plan.worlds.world, ("tempo", float(cell.condition))))
    world = study_world(spec, cell.seed, settings, scratch)
    arm = plan.arms()[cell.arm]
    return world.decide(arm.regime, world.fit(arm.regime, arm.fit_seed))
