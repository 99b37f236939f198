"""One run of the study of windows: money, decisions, and how far its features are from exact ones."""

from pathlib import Path

import numpy as np

from fraudsim.arrays import Floats
from fraudsim.settings import Settings
from scorer.policy.policy import APPROVE
from simulator.line.decided import DecidedStretch
from simulator.regimes import REGIMES
from stream_features.catalogue.features import FEATURES, WINDOWED
from studies.comparison.figures import MeasuredLine
from studies.comparison.ranking import RankedPayments
from studies.frame.cell_plan import StudyCell
from studies.frame.file_world import world_of
from studies.frame.study_world import StudyWorld
from studies.windows.costs import kept_a_card, updates_a_payment
from studies.windows.plan import EXACT, TUMBLING, WindowsArm, WindowsPlan

TOLERANCE = 1e-6
"""Relative: below it two values of a feature are equal."""


class ActedRows:
    """The rows of the payments that a line does not approve, in order of time."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._first = 0

    def add(self, decided: DecidedStretch) -> None:
        """Take in a stretch."""
        rows = np.flatnonzero((decided.action != APPROVE) & decided.present)
        self.rows += (self._first + rows).tolist()
        self._first += len(decided.stretch)


def run_cell(plan: WindowsPlan, cell: StudyCell, settings: Settings, scratch: Path) -> MeasuredLine:
    """Run one cell. Raises as `StudyWorld.fit` does."""
    arm = plan.arms()[cell.arm]
    world = world_of(plan.spec_at(cell.condition), cell.seed, settings, scratch)
    fitted = world.fit(arm.regime, arm.fit_seed)
    acted, ranking = ActedRows(), RankedPayments()

    def note(decided: DecidedStretch) -> None:
        acted.add(decided)
        ranking.add(decided)

    figures = world.decide(arm.regime, fitted, note=note)
    measures = cost_measures(world, cell.arm, arm) | ranking.measures()
    if arm.regime != REGIMES["real-time"]:
        exact = world.vectors(REGIMES["real-time"])[world.dataset.train]
        measures |= feature_errors(world.vectors(arm.regime)[world.dataset.train], exact)
    return MeasuredLine(line=figures, measures=measures, acted=acted.rows)


def cost_measures(world: StudyWorld, name: str, arm: WindowsArm) -> dict[str, float]:
    """States that a payment updates, and values kept for a card."""
    hop = arm.regime.period_ms or None
    ts = world.traffic.past["ts"].to_numpy()
    measures = {"updates": float(updates_a_payment(hop, tumbling=name == TUMBLING))}
    if name == EXACT or hop is not None:
        measures["kept"] = kept_a_card(ts, world.dataset.card, hop)
    return measures


def feature_errors(served: Floats, exact: Floats) -> dict[str, float]:
    """Percent of the values that differ, of all window features and by length (`differ LENGTH`).

    Args:
        served, exact: vectors of the same payments, shape (n, SIZE).
    """
    columns = [
        (index, feature.window_ms) for index, feature in enumerate(FEATURES) if feature.entity in WINDOWED
    ]
    errors = {"differ": _share(served, exact, [index for index, _ in columns])}
    for window in sorted({window for _, window in columns}):
        chosen = [index for index, length in columns if length == window]
        errors[f"differ {window}"] = _share(served, exact, chosen)
    return errors


def _share(served: Floats, exact: Floats, columns: list[int]) -> float:
    a, b = served[:, columns], exact[:, columns]
    return 100 * float((~np.isclose(a, b, rtol=TOLERANCE, atol=0, equal_nan=True)).mean())
