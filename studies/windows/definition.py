"""The study of windows: its cells, and what it says."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Final

import numpy as np

from fraudsim.drawing.plot import Plot
from fraudsim.drawing.scales import linear_ticks
from fraudsim.drawing.themes import PALETTE
from simulator.regimes import span
from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import (
    NET_LOSS,
    RANKING,
    ArmRow,
    Effect,
    MeasuredLine,
    MeasuredRuns,
    effect_of,
)
from studies.comparison.page import WIDTH, effect_text, money, told_text
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition
from studies.frame.file_world import FileSpec, identity_of
from studies.frame.page import StudyFigure, StudyTable
from studies.report import Cell, Grid
from studies.windows.cell import run_cell
from studies.windows.plan import EXACT, FULL, NULL, QUICK, TUMBLING, WindowsPlan, contrast_name

QUESTION: Final = "What do hopping and tumbling windows lose against exact ones?"
MODULES: Final = (
    "studies/windows/cell.py", "studies/windows/costs.py", "studies/windows/plan.py",
    "studies/comparison/figures.py", "studies/comparison/ranking.py",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size."""
    return study_by(FULL if size == "full" else QUICK, size)


def study_by(plan: WindowsPlan, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="windows", arms={name: asdict(arm) for name, arm in plan.arms().items()},
        conditions=plan.conditions(), sizes=identity_of(plan.spec), seeds=plan.seeds,
        most_seeds=plan.most_seeds, run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=EXACT, null=NULL, contrasts=plan.contrasts(), width=0.1,
        derived=changed_alerts,
    )  # fmt: skip
    return comparison_study(size, comparison, STORY)


def study_of_file(file: FileSpec, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a public file, whose attacks go as fast as they went."""
    plan = replace(FULL if size == "full" else QUICK, spec=file, tempos=(1.0,))
    return study_by(replace(plan, seeds=file.shares, most_seeds=file.shares), size)


def changed_alerts(runs: MeasuredRuns, arm: str, condition: str, seeds: Sequence[int]) -> dict[str, float]:
    """Percent of the payments that either this arm or the exact one stopped or asked about, but not both."""
    shares = []
    for seed in seeds:
        ours, exact = (set(runs[name, condition, seed].acted) for name in (arm, EXACT))
        shares.append(100 * len(ours ^ exact) / max(1, len(ours | exact)))
    return {"changed": float(np.mean(shares))}


def _row(result: ComparisonResult, arm: str, condition: str) -> ArmRow:
    return next(row for row in result.rows if (row.arm, row.condition) == (arm, condition))


def _kinds(result: ComparisonResult, condition: str) -> list[ArmRow]:
    return [row for row in result.rows if row.condition == condition and row.arm not in (EXACT, NULL)]


def _effects(result: ComparisonResult, condition: str, measure: str) -> dict[str, Effect]:
    names = {row.arm: contrast_name(row.arm, condition, measure) for row in _kinds(result, condition)}
    return {arm: effect_of(result.effects, name) for arm, name in names.items()}


def answer(result: ComparisonResult) -> list[str]:
    """In sentences."""
    texts = []
    for measure, head in (
        (NET_LOSS, "Windows against exact ones, in net loss per 1,000 cards and week"),
        (RANKING, "In average precision, points of a hundred"),
    ):
        parts = []
        for condition in result.conditions:
            effects = _effects(result, condition, measure)
            base = _row(result, EXACT, condition)
            loss = f"{money(base.net_loss)}" if measure == NET_LOSS else f"{base.measures[RANKING]:.1f}"
            parts.append(f"at {condition} ({loss} by exact ones) {told_text(effects)}")
        texts.append(f"{head}: {'; '.join(parts)}.")
    first = result.conditions[0]
    exact, null, tumbling = (_row(result, arm, first) for arm in (EXACT, NULL, TUMBLING))
    cheapest = min(_kinds(result, first), key=lambda row: row.measures["updates"])
    texts.append(
        f"No approximation is cheaper: exact windows append a payment to {exact.measures['updates']:.0f} "
        f"entities' rows, {cheapest.arm} windows update {cheapest.measures['updates']:.0f} states and finer "
        f"hops more; a card keeps {exact.measures['kept']:.0f} rows. At equal cost, then, exact windows "
        f"stand against {TUMBLING} ones: {tumbling.measures['differ']:.0f} % of the window features "
        f"differ, {tumbling.measures['changed']:.0f} % of the alerts are others "
        f"({null.measures['changed']:.0f} % by another fit alone)."
    )
    return texts


def surprises(result: ComparisonResult) -> list[str]:
    """Kinds that change no more than another fit does, and kinds that cost less than exact windows."""
    texts = []
    for condition in result.conditions:
        null = _row(result, NULL, condition).measures["changed"]
        texts += [
            f"{row.arm}, {condition}: {row.measures['differ']:.0f} % of its values are wrong, and no more of "
            f"its alerts are others ({row.measures['changed']:.0f} %) than by another fit of the same "
            f"features ({null:.0f} %): most wrong values differ by a payment or two among many."
            for row in _kinds(result, condition)
            if row.measures["changed"] <= null
        ]
    for effect in result.effects:
        better = effect.difference.mean > 0 if effect.measure == RANKING else effect.difference.mean < 0
        if effect.holds and better:
            texts.append(f"{effect.name}: {effect_text(effect)}, better than exact windows: unexplained.")
    return texts


def cost_table(result: ComparisonResult) -> StudyTable:
    """Cost and error of every kind."""
    several = len(result.conditions) > 1
    grid = Grid(
        ["windows", *(["world"] if several else []), "updates", "kept", "differ", "other alerts"],
        [
            [
                Cell(row.arm),
                *([Cell(row.condition)] if several else []),
                Cell(f"{row.measures['updates']:,.0f}"),
                Cell(f"{row.measures['kept']:.1f}" if "kept" in row.measures else ""),
                Cell(f"{row.measures['differ']:.1f}%" if "differ" in row.measures else "0%"),
                Cell(f"{row.measures['changed']:.0f}%"),
            ]
            for row in result.rows
        ],
    )
    return StudyTable(
        "Cost and error",
        "States that a payment updates; rows or non-empty panes kept for a card over 30 days; values of "
        "window features that differ from exact ones; alerts of one of the two lines only.",
        grid,
    )


def length_table(result: ComparisonResult) -> StudyTable:
    """Which lengths of windows are wrong, in the worlds of the first condition."""
    kinds = _kinds(result, result.conditions[0])
    names = {name for row in kinds for name in row.measures if name.startswith("differ ")}
    ordered = sorted(names, key=lambda name: int(name.split()[1]))
    heads = ["windows", *(span(int(name.split()[1])) for name in ordered)]
    rows = [
        [Cell(row.arm), *(Cell(f"{row.measures.get(name, 0):.0f}%") for name in ordered)] for row in kinds
    ]
    note = "Percent of the values that differ, by the window's length"
    where = f", at {result.conditions[0]}" if len(result.conditions) > 1 else ""
    return StudyTable("Error by length", f"{note}{where}.", Grid(heads, rows))


def error_figure(result: ComparisonResult) -> StudyFigure:
    """Money over the error of features."""
    rows = [row for condition in result.conditions for row in _kinds(result, condition)]
    plot = Plot(
        "Money over the error of features", "One dot for each kind of windows.", width=WIDTH, left=70, top=34
    )
    losses = [row.against_base.mean / 100 for row in rows] + [
        end / 100 for row in rows for end in (row.against_base.low, row.against_base.high) if end is not None
    ]
    x = plot.x_scale(0, 100)
    y = plot.y_scale(min(0.0, *losses), max(1.0, *losses))
    plot.y_axis(y, linear_ticks(min(0.0, *losses), max(1.0, *losses)), "net loss against exact windows")
    plot.x_axis(x, linear_ticks(0, 100, unit=" %"), "values of window features that differ")
    colours = {condition: PALETTE[i % len(PALETTE)] for i, condition in enumerate(result.conditions)}
    for number, row in enumerate(rows):
        # The conditions of one kind have nearly the same error: side by side, not one on the other.
        at = x(row.measures["differ"]) + 3 * result.conditions.index(row.condition)
        colour = colours[row.condition]
        if row.against_base.low is not None and row.against_base.high is not None:
            plot.interval(at, y(row.against_base.low / 100), y(row.against_base.high / 100), colour)
        plot.dot(at, y(row.against_base.mean / 100), colour, f"{row.arm}: {row.against_base.text}")
        if number < len(_kinds(result, result.conditions[0])):
            plot.text(at + 9, y(row.against_base.mean / 100) - 6, row.arm)
    if len(colours) > 1:
        plot.legend(list(colours.items()))
    caption = "Net loss against exact windows, per 1,000 cards and week, with 95 % intervals."
    return StudyFigure("error", caption, plot.render())


STORY: Final = Story(
    question=QUESTION,
    answer=answer,
    set_up=(
        "Hopping windows end at the last hop, tumbling ones begin at the last multiple of their length; each "
        "kind has a model trained on its own features. Cost is counted, not timed: states that one payment "
        "updates in an engine that keeps one aggregate for each window an event falls into (one where "
        "windows tumble, length / hop where they hop), over all windows of the catalogue, against one row "
        "appended for each entity where windows are exact."
    ),
    limits=(
        "Counted updates are not time: an engine that slices windows into panes updates one pane a payment, "
        "and reads length / hop of them for each decision instead.",
        "Exact windows of a card are short lists here; of a merchant with many payments the line keeps "
        "tiles, whose edges are exact to a sixtieth of the window in all arms.",
    ),
    surprises=surprises,
    tables=lambda result: [cost_table(result), length_table(result)],
    figures=lambda result: [error_figure(result)],
)
