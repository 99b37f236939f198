"""One run of the study of camouflage: money, and how scores rank each typology against honest payments."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudsim.settings import Settings
from model.training.ranking import average_precision
from simulator.line.decided import DecidedStretch
from simulator.regimes import REGIMES
from studies.camouflage.plan import TRAINED_AT, CamouflagePlan
from studies.comparison.figures import MeasuredLine
from studies.comparison.ranking import RankedPayments
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import StudyWorld

_FRESH = REGIMES["real-time"]
_worlds: dict[tuple[float, int, str], StudyWorld] = {}


def run_cell(plan: CamouflagePlan, cell: StudyCell, settings: Settings, scratch: Path) -> MeasuredLine:
    """Run one cell. Raises as `StudyWorld.fit` does."""
    arm, dial = plan.arms()[cell.arm], plan.conditions()[cell.condition]
    world = _world(plan, dial, cell.seed, settings, scratch)
    learnt_in = world if arm.matched else _world(plan, TRAINED_AT, cell.seed, settings, scratch)
    fitted = learnt_in.fit(_FRESH, arm.fit_seed)
    assert fitted is not None
    by_typology, ranking = TypologyScores(), RankedPayments()

    def note(decided: DecidedStretch) -> None:
        by_typology.add(decided)
        ranking.add(decided)

    figures = world.decide(_FRESH, fitted, note=note)
    return MeasuredLine(line=figures, measures=by_typology.measures() | ranking.measures())


def _world(plan: CamouflagePlan, dial: float, seed: int, settings: Settings, scratch: Path) -> StudyWorld:
    """The world of a dial; those of one seed are kept, since the fixed model is needed at every dial."""
    key = (dial, seed, settings.model_dump_json())
    if key not in _worlds:
        for other in [other for other in _worlds if other[1:] != key[1:] or other[0] != TRAINED_AT]:
            del _worlds[other]
        _worlds[key] = StudyWorld(plan.spec_at(dial), seed, settings, scratch)
    return _worlds[key]


class TypologyScores:
    """Scores of all payments of a run, by typology."""

    def __init__(self) -> None:
        self._scores: list[NDArray[Any]] = []
        self._names: list[NDArray[Any]] = []

    def add(self, decided: DecidedStretch) -> None:
        """Take in a stretch; payments that a campaign did not make are none."""
        indexes, names = decided.stretch.typology
        words = np.array([*(name or "" for name in names), ""])
        self._scores.append(decided.scores[decided.present])
        self._names.append(words[indexes][decided.present])

    def measures(self) -> dict[str, float]:
        """Average precision of each typology against all honest payments (`AP NAME`)."""
        scores, names = np.concatenate(self._scores), np.concatenate(self._names)
        precisions = {}
        for name in sorted({str(name) for name in names} - {""}):
            rows = (names == name) | (names == "")
            precisions[f"AP {name}"] = average_precision(names[rows] == name, scores[rows])
        return precisions
