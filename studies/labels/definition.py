"""The study of labels: its cells, and what it says."""

from dataclasses import asdict
from functools import partial
from typing import Final

from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import NET_LOSS, RANKING, MeasuredLine, effect_of
from studies.comparison.page import effect_text, money
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition
from studies.frame.page import StudyTable
from studies.labels.cell import run_cell
from studies.labels.plan import (
    BASE,
    EXPLORED,
    FALSE,
    FULL,
    LATER_DAYS,
    LEFT_OUT,
    LOST,
    NULL,
    PAST_LOSS,
    QUICK,
    SHARE,
    WEIGHTED,
    LabelsPlan,
)
from studies.report import Cell, Grid

QUESTION: Final = "What do late, selective and wrong labels cost, and what is exploration worth?"
MODULES: Final = (
    "studies/labels/cell.py", "studies/labels/plan.py", "studies/labels/decided_past.py",
    "studies/labels/fit.py", "studies/labels/training_labels.py", "studies/comparison/figures.py",
    "studies/comparison/ranking.py",
)  # fmt: skip


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size."""
    return study_by(FULL if size == "full" else QUICK, size)


def study_by(plan: LabelsPlan, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="labels", arms={name: asdict(arm) for name, arm in plan.arms().items()},
        conditions={"world": {}}, sizes=asdict(plan.spec), seeds=plan.seeds, most_seeds=plan.most_seeds,
        run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=BASE, null=NULL, contrasts=plan.contrasts(), width=0.15
    )
    return comparison_study(size, comparison, STORY)


def answer(result: ComparisonResult) -> list[str]:
    """In sentences."""
    rows = {row.arm: row for row in result.rows}

    def text_of(name: str) -> str:
        return effect_text(effect_of(result.effects, name))

    base = rows[BASE].measures
    of_loss = [effect for effect in result.effects if effect.measure == NET_LOSS]
    lossy = [effect for effect in of_loss if effect.holds and effect.difference.mean > 0]
    worst = max(lossy or of_loss, key=lambda effect: effect.difference.mean)
    head = (
        f"What costs most is {worst.name}: {text_of(worst.name)}, of a net loss of "
        f"{money(rows[BASE].net_loss)} per 1,000 cards and week"
        if lossy
        else f"No lack of labels is told to cost anything, of a net loss of {money(rows[BASE].net_loss)} per "
        "1,000 cards and week"
    )
    return [
        f"{head}.",
        f"Delay: a bank knows {100 * base['known frauds'] / base['frauds']:.0f} % of the frauds that it "
        f"trains on; to know them all changes {text_of('every fraud known at once')}; labels {LATER_DAYS:g} "
        f"days later (and as many days older training data) {text_of(f'labels {LATER_DAYS:g} days later')}; "
        f"to train up to yesterday {text_of('trained up to yesterday')}.",
        f"Wrong labels: {SHARE:.0%} of the frauds never labelled "
        f"{text_of(f'{SHARE:.0%} of the frauds never labelled')}; as many honest payments labelled fraud "
        f"{text_of(f'{SHARE:.0%} more labels, all false')}.",
        f"Selective labels: after a past under the shipped policy, which asks the customer, "
        f"{text_of('stopped by the shipped policy')}; after one that only declines, with what it stopped "
        f"taken for honest {text_of('declined, taken for honest')}, and left out "
        f"{text_of('declined, left out')}.",
        f"Exploration: to let {EXPLORED:.0%} of the declines through and weight them changes the next "
        f"model's loss by {text_of('exploring, weighted')}, without weights "
        f"{text_of('exploring, unweighted')}; while it lasts it changes the loss by "
        f"{text_of('price of exploring, while it lasts')}.",
        f"In average precision, points of a hundred, of {base[RANKING]:.1f}: {_ranked(result)}.",
    ]


def _ranked(result: ComparisonResult) -> str:
    """What changes the ranking of payments, strongest first; and how much is not told apart."""
    effects = [effect for effect in result.effects if effect.measure == RANKING]
    apart = sorted((e for e in effects if e.holds), key=lambda effect: effect.difference.mean)
    texts = [f"{effect.name.removesuffix(', ranking')} {effect_text(effect)}" for effect in apart]
    rest = len(effects) - len(apart)
    return "; ".join([*texts, f"{rest} of {len(effects)} contrasts are not told apart"])


def surprises(result: ComparisonResult) -> list[str]:
    """What goes against expectation."""
    texts = []
    for name, expectation in (
        ("every fraud known at once", "cheaper"),
        (f"{SHARE:.0%} of the frauds never labelled", "dearer"),
        (f"labels {LATER_DAYS:g} days later", "dearer"),
        ("declined, taken for honest", "dearer"),
    ):
        effect = effect_of(result.effects, name)
        mean = effect.difference.mean
        if (mean > 0) == (expectation == "cheaper") and effect.holds:
            texts.append(f"One would expect {name} to be {expectation}: it is not, which is unexplained.")
        elif not effect.holds:
            texts.append(
                f"One would expect {name} to be {expectation}; these worlds do not tell it from no effect. "
                "The bar is set anew on each model's own scores, so that alerts stay as many whatever its "
                "labels are: ranking hardly suffers from labels that are missing at random, probabilities do."
            )
    exploring = effect_of(result.effects, "exploring, weighted")
    if not exploring.holds:
        rows = {row.arm: row for row in result.rows}
        texts.append(
            f"Exploration gains nothing that could be told: of {rows[LEFT_OUT].measures['frauds']:.0f} "
            f"frauds of the training period only {rows[LEFT_OUT].measures['unlabelled frauds']:.0f} lie "
            "among what was stopped without a word, so there is little to learn from them."
        )
    return texts


def knowledge_table(result: ComparisonResult) -> StudyTable:
    """What each model was told."""
    grid = Grid(
        ["learns from", "frauds", "known", "stopped unseen", "of them frauds", "past loss"],
        [
            [
                Cell(row.arm),
                *(_number(row.measures.get(name)) for name in _SHOWN),
                Cell(money(row.measures[PAST_LOSS]) if PAST_LOSS in row.measures else ""),
            ]
            for row in result.rows
        ],
    )
    return StudyTable(
        "What is known",
        "Frauds of the training period, those that a label or its absence lets the model know, payments that "
        "were stopped and of which nobody said what they were, and the net loss of the past, per 1,000 cards "
        "and week; means over the worlds.",
        grid,
    )


_SHOWN: Final = ("frauds", "known frauds", "unlabelled", "unlabelled frauds")


def _number(value: float | None) -> Cell:
    return Cell("" if value is None else f"{value:,.0f}")


STORY: Final = Story(
    question=QUESTION,
    answer=answer,
    set_up=(
        "The model learns from the second half of the history, and decides the days that follow under the "
        f"shipped policy. '{BASE}': nobody stopped anything, labels are those known by the end. Otherwise a "
        "model of the first half decides the second half: 'stopped' under the shipped policy, 'declined' "
        "under one that only declines, 'explored' with a share of these declines let through, which "
        f"'weighted' counts 1 / {EXPLORED:g} times. '{LOST}' and '{FALSE}' change labels at random."
    ),
    limits=(
        "Labels are lost or false at random here; those of one typology or one merchant may be worse.",
        "One generation: a model that learns from what its own declines hid, again and again, may drift.",
        f"'{WEIGHTED}' explores in a past whose campaigns do not react.",
    ),
    surprises=surprises,
    tables=lambda result: [knowledge_table(result)],
)
