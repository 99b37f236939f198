"""A study of the frame whose cells are arithmetic: what a process of the tests runs, kills and resumes."""

import sys
import time
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.ledger.comparison import Difference, difference_of
from studies.frame.cell_plan import CellPlan, StudyCell
from studies.frame.conduct import conduct
from studies.frame.definition import StudyDefinition, StudyResult
from studies.frame.page import StudyReport, StudyTable
from studies.frame.paired import half_width, paired
from studies.report import Cell, Grid


class SmallFigures(msgspec.Struct, frozen=True):
    value: float


class SmallResult(StudyResult, frozen=True, kw_only=True):
    difference: Difference


def run_cell(
    diary: Path | None, seconds: float, cell: StudyCell, settings: Settings, _: Path
) -> SmallFigures:
    """A draw of the cell; its name goes to the diary before and after."""
    if diary is not None:
        with diary.open("a") as file:
            file.write(f"begun {cell.arm}/{cell.condition}/{cell.seed}\n")
    time.sleep(seconds)
    noise = np.random.default_rng([cell.seed, int(cell.condition), len(cell.arm)]).normal(0, 10)
    if diary is not None:
        with diary.open("a") as file:
            file.write(f"done {cell.arm}/{cell.condition}/{cell.seed}\n")
    return SmallFigures(100 + noise)


def small_study(
    diary: Path | None = None,
    seconds: float = 0.0,
    width: float = 1e9,
    seeds: int = 3,
    most_seeds: int = 3,
    more_arms: int = 0,
    first_seed: int = 1,
) -> StudyDefinition[SmallFigures, SmallResult]:
    arms = {"base": None, "other": None} | {f"arm-{number}": None for number in range(more_arms)}
    plan = CellPlan(
        study="small", arms=arms, conditions={"1": 1, "2": 2}, sizes={"days": 3},
        seeds=seeds, most_seeds=most_seeds, run=partial(run_cell, diary, seconds), figures=SmallFigures,
        modules=(), first_seed=first_seed,
    )  # fmt: skip

    def difference(runs, numbers):
        return difference_of(paired(runs, "other", "base", "1", numbers, lambda figures: figures.value))

    return StudyDefinition(
        "quick", plan, lambda runs, numbers: half_width(difference(runs, numbers)) <= width, SmallResult,
        lambda runs, numbers, provenance: SmallResult(
            provenance=provenance, seeds=list(numbers), difference=difference(runs, numbers)
        ),
        report_of,
    )  # fmt: skip


def report_of(result: SmallResult) -> StudyReport:
    grid = Grid(["arm", "difference"], [[Cell("other"), Cell(result.difference.text)]])
    return StudyReport(
        question="Is other than base?", answer=["It is not."], set_up="Arithmetic.", figures=[],
        tables=[StudyTable("Arms", "", grid)], controls=["Nothing & nothing."], limits=["Everything."],
        command="small", source=result.provenance.code,
    )  # fmt: skip


if __name__ == "__main__":
    out, diary = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        conduct(
            small_study(diary, float(sys.argv[3]), more_arms=int(sys.argv[4])), out, Settings(_env_file=None)
        )
    except FraudsimError as error:
        sys.exit(str(error))
