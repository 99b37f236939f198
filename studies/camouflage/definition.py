"""The study of camouflage: its cells, and what it says."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Final

import numpy as np

from fraudsim.drawing.plot import Plot
from fraudsim.drawing.scales import LinearScale, linear_ticks
from fraudsim.drawing.themes import INK, PALETTE, QUIET
from studies.camouflage.cell import run_cell
from studies.camouflage.plan import FIXED, FULL, MATCHED, NULL, QUICK, TRAINED_AT, CamouflagePlan
from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import NET_LOSS, RANKING, Effect, MeasuredLine, MeasuredRuns
from studies.comparison.page import ROW, WIDTH, effect_text, money, told_text
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition
from studies.frame.page import StudyFigure, StudyTable
from studies.report import Cell, Grid, spaced

QUESTION: Final = "What is hiding worth to fraudsters, and does training on it help?"
MODULES: Final = (
    "studies/camouflage/cell.py", "studies/camouflage/plan.py", "studies/comparison/figures.py",
    "studies/comparison/ranking.py",
)  # fmt: skip
LEAST_CAMPAIGNS: Final = 30


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size."""
    return study_by(FULL if size == "full" else QUICK, size)


def study_by(plan: CamouflagePlan, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="camouflage", arms={name: asdict(arm) for name, arm in plan.arms().items()},
        conditions=plan.conditions(), sizes=asdict(plan.spec), seeds=plan.seeds, most_seeds=plan.most_seeds,
        run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES, left_out=plan.left_out(),
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=FIXED, null=NULL, contrasts=plan.contrasts(), width=0.15,
        derived=partial(money_at_stake, plan),
    )  # fmt: skip
    return comparison_study(size, comparison, STORY)


def money_at_stake(
    plan: CamouflagePlan, runs: MeasuredRuns, arm: str, condition: str, seeds: Sequence[int]
) -> dict[str, float]:
    """What the frauds of a run try to take, cents per 1,000 cards and week: the mean over the seeds."""
    lines = [runs[arm, condition, seed].line for seed in seeds]
    cents = [sum(item.at_stake_cents for item in line.typologies.values()) for line in lines]
    return {"at stake": float(np.mean(cents)) / (plan.spec.cards / 1_000) / (plan.spec.days / 7)}


def _names(result: ComparisonResult) -> list[str]:
    """Typologies with enough campaigns everywhere."""
    shares = [items for key, items in result.typologies.items() if key.startswith(f"{FIXED} | ")]
    names = sorted({name for items in shares for name in items})
    return [
        name
        for name in names
        if all(items.get(name, {"campaigns": 0})["campaigns"] >= LEAST_CAMPAIGNS for items in shares)
    ]


def _paid(result: ComparisonResult, condition: str, name: str) -> float:
    return result.typologies[f"{FIXED} | {condition}"][name]["paid_share"]


def answer(result: ComparisonResult) -> list[str]:
    """In sentences."""
    base = next(r for r in result.rows if r.arm == FIXED and r.condition.endswith(f" {TRAINED_AT:g}"))
    money_effects = [effect for effect in result.effects if effect.measure == NET_LOSS]
    ranked = [effect for effect in result.effects if effect.measure == RANKING]
    moved, trained = ([e for e in money_effects if word in e.name] for word in ("instead", "training"))
    texts = [
        f"One model, trained at camouflage {TRAINED_AT:g}, loses {money(base.net_loss)} per 1,000 cards and "
        f"week there; {_effects_text(moved)}.",
        f"A model trained in the world that it serves: {_effects_text(trained)}.",
    ]
    texts.append(
        f"In average precision, points of a hundred, {base.measures[RANKING]:.1f} at camouflage "
        f"{TRAINED_AT:g}: {_effects_text(ranked)}."
    )
    names = _names(result)
    first, last = result.conditions[0], result.conditions[-1]
    if names:
        gains = sorted(names, key=lambda n: _paid(result, last, n) - _paid(result, first, n), reverse=True)
        texts.append(
            "Hiding gains most for "
            + ", ".join(
                f"{spaced(n)} ({_paid(result, first, n):.0f} % of the money paid without, "
                f"{_paid(result, last, n):.0f} % with all of it)"
                for n in gains[:3]
            )
            + "; least for "
            + ", ".join(
                f"{spaced(n)} ({_paid(result, first, n):.0f} and {_paid(result, last, n):.0f} %)"
                for n in gains[-2:]
            )
            + "."
        )
    return texts


def _effects_text(effects: Sequence[Effect]) -> str:
    return told_text({effect.name.removesuffix(", ranking"): effect for effect in effects})


def surprises(result: ComparisonResult) -> list[str]:
    """Where more hiding costs fraudsters, or where a model of that world does not help."""
    texts = []
    for effect in result.effects:
        worse = effect.difference.mean < 0 if effect.measure == RANKING else effect.difference.mean > 0
        if "training" in effect.name and effect.holds and worse:
            texts.append(f"{effect.name}: {effect_text(effect)}, worse than the fixed model: unexplained.")
    names = _names(result)
    first, last = result.conditions[0], result.conditions[-1]
    open_row, hidden = (
        next(row for row in result.rows if row.arm == FIXED and row.condition == name)
        for name in (first, last)
    )
    if hidden.paid_share > open_row.paid_share and hidden.net_loss < 1.1 * open_row.net_loss:
        texts.append(
            f"With all of it {hidden.paid_share:.0f} % of the money of frauds is paid, without "
            f"{open_row.paid_share:.0f} %, yet the net loss is {money(hidden.net_loss)} and "
            f"{money(open_row.net_loss)}: who imitates a victim takes the victim's amounts, so that less is "
            f"at stake ({money(hidden.measures['at stake'])} and {money(open_row.measures['at stake'])} per "
            "1,000 cards and week). Hiding pays by campaign, not in all."
        )
    lower = [name for name in names if _paid(result, last, name) < _paid(result, first, name) - 5]
    if "slow_drip" in lower:
        lower.remove("slow_drip")
        texts.append(
            f"Of slow drip less is paid where it hides better ({_paid(result, first, 'slow_drip'):.0f} % "
            f"without, {_paid(result, last, 'slow_drip'):.0f} % with all of it): to imitate a subscription "
            "it uses more constant amounts at more regular intervals, which is a pattern of its own."
        )
    if lower:
        texts.append(
            f"Of {', '.join(map(spaced, lower))} less is paid where frauds hide better: unexplained, beyond "
            "that a few large payments make much of a share of money."
        )
    return texts


def typology_table(result: ComparisonResult) -> StudyTable:
    """Money paid and ranking by typology, at the ends and the middle."""
    names = sorted({n for key, items in result.typologies.items() if key.startswith(FIXED) for n in items})
    shown = [result.conditions[0], f"camouflage {TRAINED_AT:g}", result.conditions[-1]]
    rows_of = {r.condition: r for r in result.rows if r.arm == FIXED}
    heads = ["typology", "cases", *(f"paid {c.split()[-1]}" for c in shown)]
    heads += [f"AP {c.split()[-1]}" for c in shown]
    rows = []
    for name in names:
        shares = [result.typologies[f"{FIXED} | {condition}"].get(name) for condition in shown]
        cases = min(int(item["campaigns"]) if item else 0 for item in shares)
        cells = [Cell(f"{item['paid_share']:.0f}%" if item else "") for item in shares]
        ranks = [rows_of[condition].measures.get(f"AP {name}") for condition in shown]
        cells += [Cell("" if rank is None else f"{rank:.3f}") for rank in ranks]
        rows.append([Cell(spaced(name)), Cell(str(cases)), *cells])
    return StudyTable(
        "Typologies",
        f"By the fixed model ({FIXED}): share of the money of frauds that was paid, and average precision "
        "against all honest payments, at three dials; cases: campaigns of all worlds, the fewest of the "
        "three.",
        Grid(heads, rows),
    )


def typology_figure(result: ComparisonResult) -> StudyFigure:
    """Share paid by typology, a dot for each dial."""
    names = _names(result)
    plot = Plot(
        "Money paid by typology", "A dot for each camouflage; to the right the fraudsters gain.",
        width=WIDTH, height=90 + ROW * max(1, len(names)), left=190, top=34, right=34,
    )  # fmt: skip
    x = plot.x_scale(0, 100)
    bottom = plot.top + ROW * max(1, len(names))
    y = LinearScale(0, max(1, len(names)), plot.top, bottom)
    colours = {c: PALETTE[i % len(PALETTE)] for i, c in enumerate(result.conditions)}
    for row, name in enumerate(names):
        plot.text(plot.left - 10, y(row + 0.5) + 4, spaced(name), anchor="end", colour=INK)
        for condition in result.conditions:
            value = _paid(result, condition, name)
            plot.dot(
                x(value), y(row + 0.5), colours[condition], f"{spaced(name)}, {condition}: {value:.0f} %"
            )
    for value, label in linear_ticks(0, 100, unit=" %"):
        plot.text(x(value), bottom + 18, label, anchor="middle", colour=QUIET)
    plot.legend([(c.split()[-1], colours[c]) for c in result.conditions])
    caption = (
        f"Share of the money of frauds that is paid, by camouflage, with the model {FIXED}; typologies with "
    )
    caption += f"{LEAST_CAMPAIGNS} campaigns or more at every dial."
    return StudyFigure("typologies", caption, plot.render())


STORY: Final = Story(
    question=QUESTION,
    answer=answer,
    set_up=(
        "The dial goes from 0, frauds that hide not at all, to 1, frauds that imitate their victims' places, "
        f"amounts and times. '{FIXED}' is one model of each seed's world at that dial; '{MATCHED}' one of "
        "the world that it serves. Worlds of one seed at two dials have the same people and merchants, and "
        "other frauds."
    ),
    limits=(
        "How frauds hide is the world's idea of it; real ones learn from what stops them.",
        "Few campaigns of a typology make a share of money the matter of a few large payments.",
    ),
    surprises=surprises,
    tables=lambda result: [typology_table(result)],
    figures=lambda result: [typology_figure(result)],
)
