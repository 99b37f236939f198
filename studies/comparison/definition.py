"""A whole study of arms against a base, from its arms, contrasts and story."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from producers.ledger.comparison import difference_of
from studies.comparison.figures import (
    NET_LOSS,
    ArmRow,
    Contrast,
    Effect,
    Fits,
    MeasuredLine,
    MeasuredRuns,
    arm_rows,
    differences,
    effects_of,
    value_of,
)
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import Provenance, StudyDefinition, StudyResult
from studies.frame.file_world import FileSpec
from studies.frame.page import StudyFigure, StudyReport, StudyTable
from studies.frame.paired import Control, controls_of, half_width
from studies.frame.study_world import WorldSpec

PLANTED_SHARE = 0.1
"""Of each world's net loss, added to the null twin's: an effect that the study must find."""


class ComparisonResult(StudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    spec: WorldSpec
    file: FileSpec | None = None
    """The public file, where the study is of one; then seeds are shares of its cards."""
    base: str
    conditions: list[str]
    rows: list[ArmRow]
    effects: list[Effect]
    controls: list[Control]
    typologies: dict[str, dict[str, dict[str, float]]]
    """By arm and condition (`ARM | CONDITION`) and typology: campaigns, paid and first-caught shares."""


Derived = Callable[[MeasuredRuns, str, str, Sequence[int]], dict[str, float]]
"""Takes all runs, an arm, a condition and the seeds."""
Words = Callable[[ComparisonResult], Sequence[str]]


@dataclass(frozen=True)
class Story:
    """What a study says; texts are made of its figures."""

    question: str
    answer: Words
    set_up: str
    """Of the arms; worlds, money and intervals are described for all studies alike."""
    limits: Sequence[str]
    surprises: Words = field(default=lambda _: ())
    tables: Callable[[ComparisonResult], Sequence[StudyTable]] = field(default=lambda _: ())
    figures: Callable[[ComparisonResult], Sequence[StudyFigure]] = field(default=lambda _: ())


@dataclass(frozen=True)
class ComparisonPlan:
    """Arms and contrasts of one size."""

    cells: CellPlan[MeasuredLine]
    spec: WorldSpec | FileSpec
    base: str
    null: str
    contrasts: Sequence[Contrast]
    width: float
    """Seeds are added until each contrast's half-width is at most this share of the base's net loss."""
    derived: Derived | None = None
    """More measures of an arm, from the runs of several."""

    @property
    def fits(self) -> Fits:
        """The base, fitted twice."""
        return Fits(self.base, self.null)

    @property
    def worlds(self) -> WorldSpec:
        """Cards and days."""
        if isinstance(self.spec, WorldSpec):
            return self.spec
        return WorldSpec(self.spec.cards, self.spec.history_days, self.spec.days)

    @property
    def conditions(self) -> list[str]:
        return list(self.cells.conditions)


def comparison_study(
    size: Size, plan: ComparisonPlan, story: Story
) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study."""
    from studies.comparison.page import report_of

    def narrow_enough(runs: MeasuredRuns, seeds: Sequence[int]) -> bool:
        return all(_narrow(runs, contrast, plan, seeds) for contrast in plan.contrasts)

    def result_of(runs: MeasuredRuns, seeds: Sequence[int], provenance: Provenance) -> ComparisonResult:
        return comparison_result(plan, runs, seeds, provenance)

    def report(result: ComparisonResult) -> StudyReport:
        # Of another number of worlds than the size has by itself the command says how many.
        own = len(result.seeds) == plan.cells.seeds
        return report_of(result, story, "" if own else f" --seeds {len(result.seeds)}")

    return StudyDefinition(
        size=size, plan=plan.cells, narrow_enough=narrow_enough, result=ComparisonResult,
        result_of=result_of, report_of=report,
    )  # fmt: skip


def _narrow(runs: MeasuredRuns, contrast: Contrast, plan: ComparisonPlan, seeds: Sequence[int]) -> bool:
    if contrast.measure != NET_LOSS:
        return True
    condition = contrast.condition or plan.conditions[0]
    loss = float(np.mean([value_of(runs[plan.base, condition, seed], NET_LOSS) for seed in seeds]))
    observed = difference_of(differences(runs, plan.fits, contrast, plan.conditions, seeds))
    return half_width(observed) <= plan.width * loss


def comparison_result(
    plan: ComparisonPlan, runs: MeasuredRuns, seeds: Sequence[int], provenance: Provenance
) -> ComparisonResult:
    """The result from all runs."""
    pairs = plan.cells.pairs()
    rows = arm_rows(runs, pairs, seeds, plan.fits, plan.worlds.days)
    return ComparisonResult(
        provenance=provenance,
        seeds=list(seeds),
        spec=plan.worlds,
        file=plan.spec if isinstance(plan.spec, FileSpec) else None,
        base=plan.base,
        conditions=plan.conditions,
        rows=[_with_derived(row, plan, runs, seeds) for row in rows],
        effects=effects_of(runs, plan.fits, plan.contrasts, plan.conditions, seeds),
        controls=controls_of(
            runs, plan.base, plan.null, plan.conditions, seeds, lambda item: value_of(item, NET_LOSS),
            PLANTED_SHARE,
        ),
        typologies={f"{arm} | {name}": _typologies(runs, arm, name, seeds) for arm, name in pairs},
    )  # fmt: skip


def _with_derived(row: ArmRow, plan: ComparisonPlan, runs: MeasuredRuns, seeds: Sequence[int]) -> ArmRow:
    if plan.derived is None:
        return row
    derived = plan.derived(runs, row.arm, row.condition, seeds)
    return msgspec.structs.replace(row, measures={**row.measures, **derived})


def _typologies(
    runs: MeasuredRuns, arm: str, condition: str, seeds: Sequence[int]
) -> dict[str, dict[str, float]]:
    lines = [runs[arm, condition, seed].line for seed in seeds]
    names = sorted({name for line in lines for name in line.typologies})
    shares: dict[str, dict[str, float]] = {}
    for name in names:
        items = [line.typologies[name] for line in lines if name in line.typologies]
        campaigns = sum(item.campaigns for item in items)
        at_stake = sum(item.at_stake_cents for item in items)
        shares[name] = {
            "campaigns": campaigns,
            "paid_share": 100 * sum(item.paid_cents for item in items) / at_stake if at_stake else 0.0,
            "first_caught_share": 100 * sum(item.first_caught for item in items) / max(1, campaigns),
        }
    return shares
