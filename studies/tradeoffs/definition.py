"""The study as the frame takes it: cells, result, report."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from model.forest.fit import SHIPPED
from model.zoo.entries import BASE, ZOO
from producers.ledger.comparison import Difference, difference_of
from studies.frame.cell_plan import Runs, Size
from studies.frame.definition import Provenance, StudyDefinition
from studies.frame.paired import paired
from studies.model_study import frauds_by_layout, model_study
from studies.model_world import SEEDS, SPECS, ModelWorldSpec
from studies.tradeoffs.cell import Estimate, ModelFigures, run_cell
from studies.tradeoffs.page import report_of
from studies.tradeoffs.result import ModelRow, TradeoffsResult, frontier_of


def study_of(size: Size) -> StudyDefinition[ModelFigures, TradeoffsResult]:
    """The study of a size."""
    return definition_of(SPECS[size], size, SEEDS[size])


def definition_of(
    spec: ModelWorldSpec, size: Size, seeds: int
) -> StudyDefinition[ModelFigures, TradeoffsResult]:
    """The study of worlds of one kind."""
    return model_study(
        "tradeoffs", [one.name for one in ZOO], SHIPPED, spec, size, seeds, run_cell, ModelFigures,
        TradeoffsResult, result_of, report_of,
    )  # fmt: skip


def result_of(
    spec: ModelWorldSpec, runs: Runs[ModelFigures], seeds: Sequence[int], provenance: Provenance
) -> TradeoffsResult:
    """The study's figures from its cells."""
    layouts = list(spec.layouts())
    rows = []
    for layout in layouts:
        own = [_row(runs, layout, entry.name, seeds) for entry in ZOO]
        best = frontier_of(own)
        rows += [msgspec.structs.replace(row, on_frontier=row.model in best) for row in own]
    return TradeoffsResult(
        provenance=provenance,
        seeds=list(seeds),
        worlds=spec.text(),
        test_frauds=frauds_by_layout(runs, BASE, layouts, seeds),
        rows=rows,
    )


def _row(runs: Runs[ModelFigures], layout: str, model: str, seeds: Sequence[int]) -> ModelRow:
    own = [runs[model, layout, seed] for seed in seeds]
    (entry,) = (one for one in ZOO if one.name == model)

    def mean(value: Callable[[ModelFigures], float]) -> float:
        return float(np.mean([value(one) for one in own]))

    def against(value: Callable[[ModelFigures], float]) -> Difference:
        return difference_of(paired(runs, model, BASE, layout, seeds, value))

    return ModelRow(
        layout=layout,
        model=model,
        served=entry.served,
        serving=entry.serving,
        average_precision=mean(lambda one: one.average_precision),
        precision_difference=against(lambda one: 100 * one.average_precision),
        net_loss_rate=mean(lambda one: one.net_loss_rate),
        net_loss_difference=against(lambda one: one.net_loss_rate),
        one_us=_mean_estimate([one.one_us for one in own]),
        batch_us=_mean_estimate([one.batch_us for one in own]),
        runtime=own[0].runtime,
        size_bytes=mean(lambda one: one.size_bytes),
        train_s=mean(lambda one: one.train_s),
        on_frontier=False,
    )


def _mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    value, low, high = np.mean([(one.value, one.low, one.high) for one in estimates], axis=0).tolist()
    return Estimate(value=value, low=low, high=high)
