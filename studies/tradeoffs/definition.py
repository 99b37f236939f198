"""The study as the frame takes it: cells, result, report."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

import msgspec
import numpy as np

from fraudsim.arrays import Doubles
from model.forest.fit import SHIPPED
from model.zoo.entries import BASE, ZOO
from producers.ledger.comparison import Difference, difference_of
from studies.frame.cell_plan import CellPlan, Runs, Size
from studies.frame.definition import Provenance, StudyDefinition, StudyResult
from studies.frame.page import StudyReport, StudyTable
from studies.frame.paired import paired
from studies.model_world import SEEDS, SPECS, ModelWorldSpec
from studies.report import Cell, Grid, bar
from studies.tradeoffs.cell import Estimate, ModelFigures, run_cell

MODULES: Final = ("studies/model_world.py", "studies/tradeoffs/cell.py")


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model in the worlds of one layout; means over the seeds."""

    layout: str
    model: str
    served: bool
    serving: str
    average_precision: float
    precision_difference: Difference
    """Against the shipped trees, in hundredths of average precision."""
    net_loss_rate: float
    """Cents per 1,000 cards and week."""
    net_loss_difference: Difference
    one_us: Estimate
    """CPU for one row: means of each seed's median and 5 % and 95 % quantiles."""
    batch_us: Estimate
    runtime: str
    size_bytes: float
    train_s: float
    on_frontier: bool
    """No other is at least as good in precision, net loss, latency of one row, size and training time."""


class TradeoffsResult(StudyResult, frozen=True, kw_only=True):
    """`result.json`."""

    worlds: str
    test_frauds: dict[str, list[int]]
    """By layout, of each seed."""
    rows: list[ModelRow]


def study_of(size: Size) -> StudyDefinition[ModelFigures, TradeoffsResult]:
    """The study of a size."""
    return definition_of(SPECS[size], size, SEEDS[size])


def definition_of(
    spec: ModelWorldSpec, size: Size, seeds: int
) -> StudyDefinition[ModelFigures, TradeoffsResult]:
    """The study of worlds of one kind."""
    cells = CellPlan(
        study="tradeoffs", arms={one.name: asdict(SHIPPED) for one in ZOO}, conditions=spec.layouts(),
        sizes=None, seeds=seeds, most_seeds=seeds, run=partial(run_cell, spec), figures=ModelFigures,
        modules=MODULES,
    )  # fmt: skip
    return StudyDefinition(
        size, cells, lambda runs, numbers: True, TradeoffsResult, partial(result_of, spec), report_of
    )


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
        test_frauds={name: [runs[BASE, name, seed].test_frauds for seed in seeds] for name in layouts},
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


def frontier_of(rows: Sequence[ModelRow]) -> list[str]:
    """Names of the models that none beats or equals everywhere and beats somewhere."""

    def figures(one: ModelRow) -> Doubles:
        """Less is better."""
        return np.array(
            [-one.average_precision, one.net_loss_rate, one.one_us.value, one.size_bytes, one.train_s]
        )

    def beaten(one: ModelRow) -> bool:
        own = figures(one)
        others = [figures(other) for other in rows if other is not one]
        return any(bool((other <= own).all() and (other < own).any()) for other in others)

    return [one.model for one in rows if not beaten(one)]


def report_of(result: TradeoffsResult) -> StudyReport:
    """What the study says."""
    provenance = result.provenance
    return StudyReport(
        question="What is sacrificed for speed and size?",
        answer=_answer(result),
        set_up=f"{result.worlds} Frauds of the tests: "
        + "; ".join(f"{name} {', '.join(map(str, counts))}" for name, counts in result.test_frauds.items())
        + ". Latency is CPU time of scoring alone, in one thread, from what a scorer would have read, so "
        "that what else the machine does is not counted; in brackets the quantiles of 5 and 95 %. Intervals "
        "of differences are 95 %, Student's t over the worlds.",
        figures=[],
        tables=[
            table
            for layout in result.test_frauds
            for table in (_quality_table(result, layout), _cost_table(result, layout))
        ],
        controls=[],
        limits=[f"{one.name}: {one.serving}." for one in ZOO if not one.served],
        command=f"fraudsim study tradeoffs --out DIR --{provenance.size}",
        source=f"fraudsim {provenance.versions.fraudsim}, code {provenance.code}",
    )


def _answer(result: TradeoffsResult) -> list[str]:
    sentences = []
    for layout in result.test_frauds:
        rows = [row for row in result.rows if row.layout == layout]
        served = [row for row in rows if row.served]
        best = max(rows, key=lambda row: row.average_precision)
        quickest = min(served, key=lambda row: row.one_us.value)
        sentences.append(
            f"{layout[0].upper()}{layout[1:]}: {best.model} ranks best (average precision "
            f"{best.average_precision:.3f}); {quickest.model} is the quickest that is served, "
            f"{quickest.one_us.value:.2g} µs a row, at {quickest.average_precision:.3f}."
        )
    return sentences


def _quality_table(result: TradeoffsResult, layout: str) -> StudyTable:
    rows = [row for row in result.rows if row.layout == layout]
    best = max(row.average_precision for row in rows)
    lines = [
        [
            Cell(row.model + (" *" if row.on_frontier else "")),
            Cell(f"{row.average_precision:.3f}", bar(row.average_precision / best)),
            Cell("" if row.model == BASE else _interval(row.precision_difference, 100, "+.3f")),
            Cell(f"{row.net_loss_rate / 100:,.0f}"),
            Cell("" if row.model == BASE else _interval(row.net_loss_difference, 100, "+,.0f")),
        ]
        for row in rows
    ]
    return StudyTable(
        f"Precision and money, {layout}",
        "Net loss: by the ledger, per 1,000 cards and week. *: no other model is at least as good in average "
        "precision, net loss, latency of one row, size and training time.",
        Grid(["model", "AP", "against shipped", "net loss", "against shipped"], lines),
    )


def _cost_table(result: TradeoffsResult, layout: str) -> StudyTable:
    lines = [
        [
            Cell(row.model),
            Cell(f"{row.one_us.value:.3g} ({row.one_us.low:.3g} to {row.one_us.high:.3g})"),
            Cell(f"{row.batch_us.value:.3g}"),
            Cell(row.runtime),
            Cell(f"{row.size_bytes / 1024:,.0f}"),
            Cell(f"{row.train_s:.1f}"),
            Cell("yes" if row.served else "no"),
        ]
        for row in result.rows
        if row.layout == layout
    ]
    heads = ["model", "µs, one row", "µs a row of 512", "scored by", "KiB", "training, s", "servable"]
    return StudyTable(f"Latency and size, {layout}", "All of CPU.", Grid(heads, lines))


def _interval(difference: Difference, unit: float, style: str) -> str:
    mean = format(difference.mean / unit, style)
    if difference.low is None or difference.high is None:
        return mean
    return f"{mean} ({format(difference.low / unit, style)} to {format(difference.high / unit, style)})"
