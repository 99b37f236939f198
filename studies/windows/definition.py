"""The study of windows: its cells, and what it says."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

import numpy as np

from fraudsim.drawing.plot import Plot
from fraudsim.drawing.scales import linear_ticks
from fraudsim.drawing.themes import HONEST
from simulator.regimes import span
from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import ArmRow, MeasuredLine, MeasuredRuns, effect_of
from studies.comparison.page import WIDTH, money, money_difference
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition
from studies.frame.page import StudyFigure, StudyTable
from studies.report import Cell, Grid
from studies.windows.cell import run_cell
from studies.windows.plan import EXACT, FULL, NULL, QUICK, TUMBLING, WindowsPlan

QUESTION: Final = "What do hopping and tumbling windows lose against exact ones?"
MODULES: Final = (
    "studies/windows/cell.py", "studies/windows/costs.py", "studies/windows/plan.py",
    "studies/comparison/figures.py", "studies/comparison/recorded_line.py",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size."""
    return study_by(FULL if size == "full" else QUICK, size)


def study_by(plan: WindowsPlan, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="windows", arms={name: asdict(arm) for name, arm in plan.arms().items()},
        conditions={"world": {}}, sizes=asdict(plan.spec), seeds=plan.seeds, most_seeds=plan.most_seeds,
        run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=EXACT, null=NULL, contrasts=plan.contrasts(), width=0.1,
        derived=changed_alerts,
    )  # fmt: skip
    return comparison_study(size, comparison, STORY)


def changed_alerts(runs: MeasuredRuns, arm: str, condition: str, seeds: Sequence[int]) -> dict[str, float]:
    """Percent of the payments that either this arm or the exact one stopped or asked about, but not both."""
    shares = []
    for seed in seeds:
        ours, exact = (set(runs[name, condition, seed].acted) for name in (arm, EXACT))
        shares.append(100 * len(ours ^ exact) / max(1, len(ours | exact)))
    return {"changed": float(np.mean(shares))}


def _kinds(result: ComparisonResult) -> list[ArmRow]:
    return [row for row in result.rows if row.arm not in (EXACT, NULL)]


def answer(result: ComparisonResult) -> list[str]:
    """In sentences."""
    rows = {row.arm: row for row in result.rows}
    exact, null = rows[EXACT], rows[NULL]
    effects = {row.arm: effect_of(result.effects, f"{row.arm} against exact") for row in _kinds(result)}
    texts = {name: f"{name} {money_difference(effect.difference)}" for name, effect in effects.items()}
    apart = [texts[name] for name, effect in effects.items() if effect.holds]
    together = [texts[name] for name, effect in effects.items() if not effect.holds]
    head = (
        f"Against exact windows: {', '.join(apart)}"
        if apart
        else f"None is told apart from exact windows: {', '.join(together)}"
    )
    cheapest = min(_kinds(result), key=lambda row: row.measures["updates"])
    return [
        f"{head}, of a net loss of {money(exact.net_loss)} per 1,000 cards and week"
        + (f"; not told apart: {', '.join(together)}." if apart and together else "."),
        f"No approximation is cheaper: exact windows append a payment to {exact.measures['updates']:.0f} "
        f"entities' rows, {cheapest.arm} windows update {cheapest.measures['updates']:.0f} states and finer "
        f"hops more; a card keeps {exact.measures['kept']:.0f} rows. At equal cost, then, exact windows "
        f"stand against {TUMBLING} ones: {rows[TUMBLING].measures['differ']:.0f} % of the window features "
        f"differ, {rows[TUMBLING].measures['changed']:.0f} % of the alerts are others "
        f"({null.measures['changed']:.0f} % by another fit alone).",
    ]


def surprises(result: ComparisonResult) -> list[str]:
    """Kinds that change no more than another fit does, and kinds that cost less than exact windows."""
    rows = {row.arm: row for row in result.rows}
    null = rows[NULL].measures["changed"]
    texts = [
        f"{row.arm}: {row.measures['differ']:.0f} % of its values are wrong, and no more of its alerts are "
        f"others ({row.measures['changed']:.0f} %) than by another fit of the same features ({null:.0f} %): "
        "most wrong values differ by a payment or two among many."
        for row in _kinds(result)
        if row.measures["changed"] <= null
    ]
    for effect in result.effects:
        if effect.holds and effect.difference.mean < 0:
            texts.append(f"{effect.name} costs {money_difference(effect.difference)}: unexplained.")
    return texts


def cost_table(result: ComparisonResult) -> StudyTable:
    """Cost and error of every kind."""
    grid = Grid(
        ["windows", "updates", "kept a card", "values that differ", "other alerts"],
        [
            [
                Cell(row.arm),
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
    """Which lengths of windows are wrong."""
    names = sorted(
        (name for row in _kinds(result) for name in row.measures if name.startswith("differ ")),
        key=lambda name: int(name.split()[1]),
    )
    names = list(dict.fromkeys(names))
    heads = ["windows", *(span(int(name.split()[1])) for name in names)]
    rows = [
        [Cell(row.arm), *(Cell(f"{row.measures.get(name, 0):.0f}%") for name in names)]
        for row in _kinds(result)
    ]
    return StudyTable("Error by length", "Percent of the values that differ, by the window's length.",
                      Grid(heads, rows))  # fmt: skip


def error_figure(result: ComparisonResult) -> StudyFigure:
    """Money over the error of features."""
    rows = _kinds(result)
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
    for row in rows:
        at = x(row.measures["differ"])
        if row.against_base.low is not None and row.against_base.high is not None:
            plot.interval(at, y(row.against_base.low / 100), y(row.against_base.high / 100), HONEST)
        plot.dot(at, y(row.against_base.mean / 100), HONEST, f"{row.arm}: {row.against_base.text}")
        plot.text(at + 7, y(row.against_base.mean / 100) - 6, row.arm)
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
