"""What studies of models have in common: arms that are models, conditions that are layouts, two of worlds.

Each gives its arms, its cell, and what its rows are; seeds are not added, whatever the intervals are.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from fraudsim.settings import Settings
from model.forest.fit import TreeParameters
from producers.ledger.comparison import Difference
from studies.frame.cell_plan import CellPlan, Runs, Size, StudyCell
from studies.frame.definition import Provenance, StudyDefinition, StudyResult
from studies.frame.page import StudyReport
from studies.model_world import ModelTest, ModelWorldSpec


class ModelStudyResult(StudyResult, frozen=True, kw_only=True):
    """What `result.json` of such a study has, beside its rows."""

    worlds: str
    test_frauds: dict[str, list[int]]
    """By layout, of each seed."""

    @property
    def set_up(self) -> str:
        """Worlds and tests in words."""
        tests = "; ".join(f"{name} {', '.join(map(str, n))}" for name, n in self.test_frauds.items())
        return f"{self.worlds} Frauds of the tests: {tests}."


F = TypeVar("F", bound=msgspec.Struct)
T = TypeVar("T", bound=ModelTest)
R = TypeVar("R", bound=ModelStudyResult)
RunCell = Callable[[ModelWorldSpec, StudyCell, Settings, Path], F]


def model_study(
    name: str,
    models: Iterable[str],
    parameters: TreeParameters,
    spec: ModelWorldSpec,
    size: Size,
    seeds: int,
    run_cell: RunCell[F],
    figures: type[F],
    result: type[R],
    result_of: Callable[[ModelWorldSpec, Runs[F], Sequence[int], Provenance], R],
    report_of: Callable[[R], StudyReport],
) -> StudyDefinition[F, R]:
    """The study; the cell is in the module `studies/NAME/cell.py`."""
    cells = CellPlan(
        study=name, arms={model: asdict(parameters) for model in models}, conditions=spec.layouts(),
        sizes=None, seeds=seeds, most_seeds=seeds, run=partial(run_cell, spec), figures=figures,
        modules=("studies/model_world.py", f"studies/{name}/cell.py"),
    )  # fmt: skip
    return StudyDefinition(size, cells, lambda *_: True, result, partial(result_of, spec), report_of)


def frauds_by_layout(
    runs: Runs[T], model: str, layouts: Iterable[str], seeds: Sequence[int]
) -> dict[str, list[int]]:
    """The frauds of each layout's tests, by seed."""
    return {layout: [runs[model, layout, seed].test_frauds for seed in seeds] for layout in layouts}


def interval_text(difference: Difference, style: str) -> str:
    """A difference in hundredths with its interval, each number in a style.

    >>> interval_text(Difference(2, 150.0, 50.0, 250.0), "+.1f")
    '+1.5 (+0.5 to +2.5)'
    """
    mean = format(difference.mean / 100, style)
    if difference.low is None or difference.high is None:
        return mean
    return f"{mean} ({format(difference.low / 100, style)} to {format(difference.high / 100, style)})"
