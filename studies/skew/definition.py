"""The study of skew: its cells, and what it says."""

from dataclasses import asdict, replace
from functools import partial
from typing import Final

from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import RANKING, MeasuredLine, effect_of
from studies.comparison.page import effect_text, money, money_difference, told_text
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition
from studies.frame.file_world import FileSpec, identity_of
from studies.skew.cell import run_cell
from studies.skew.plan import FRESH, FULL, NULL, QUICK, SkewPlan

QUESTION: Final = "What does it cost to serve other features than a model was trained on?"
MODULES: Final = (
    "studies/skew/cell.py",
    "studies/skew/plan.py",
    "studies/comparison/figures.py",
    "studies/comparison/ranking.py",
)


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size."""
    return study_by(FULL if size == "full" else QUICK, size)


def study_by(plan: SkewPlan, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan."""
    cells = CellPlan(
        study="skew", arms={name: asdict(arm) for name, arm in plan.arms().items()}, conditions={"world": {}},
        sizes=identity_of(plan.spec), seeds=plan.seeds, most_seeds=plan.most_seeds,
        run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=FRESH, null=NULL, contrasts=plan.contrasts(), width=0.1
    )
    return comparison_study(size, comparison, STORY)


def study_of_file(file: FileSpec, size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a public file."""
    plan = FULL if size == "full" else QUICK
    return study_by(replace(plan, spec=file, seeds=file.shares, most_seeds=file.shares), size)


def _regimes(result: ComparisonResult) -> list[str]:
    return [row.arm.removesuffix(", matched") for row in result.rows if row.arm.endswith(", matched")]


def answer(result: ComparisonResult) -> list[str]:
    """In sentences."""
    names = _regimes(result)
    base = next(row for row in result.rows if row.arm == FRESH)

    def text_of(contrast: str) -> str:
        return told_text({name: effect_of(result.effects, f"{name}: {contrast}") for name in names})

    reverse = effect_of(result.effects, "real-time: trained nightly")
    return [
        "A model trained on fresh features and served others, with the bar set anew, against one trained on "
        f"what it is served, in net loss per 1,000 cards and week: {text_of('skew, new bar')}, of "
        f"{money(base.net_loss)} in real time.",
        f"With the bar of training: {text_of('skew, same bar')}.",
        f"What matched training cannot repair, against real time: {text_of('stale, matched')}.",
        "The other way round, a model trained on nightly features and served fresh ones: "
        f"{effect_text(reverse)}.",
        f"In average precision, points of a hundred, of {base.measures[RANKING]:.1f} in real time: matched "
        f"models against real time {text_of('stale, matched, ranking')}; skewed ones against matched "
        f"{text_of('skew, new bar, ranking')}.",
    ]


def surprises(result: ComparisonResult) -> list[str]:
    """Alerts that multiply unseen, and what they do to the money."""
    rows = {row.arm: row for row in result.rows}
    texts = []
    for name in _regimes(result):
        matched, skewed = rows[f"{name}, matched"], rows[f"{name}, skewed"]
        effect = effect_of(result.effects, f"{name}: skew, same bar")
        if skewed.alert_share > 1.5 * matched.alert_share or skewed.alert_share < matched.alert_share / 1.5:
            texts.append(
                f"{name}: the skewed model flags {skewed.alert_share:.1f} % of the payments where the "
                f"matched one flags {matched.alert_share:.1f} %, since its scores mean something else on "
                "features that it has not learnt: nobody sees it in the model's own tests."
            )
        if effect.holds and effect.difference.mean < 0:
            texts.append(
                f"{name}: with the bar of training the skewed model costs less than the matched one "
                f"({money_difference(effect.difference)}), for its many alerts: it asks more customers and "
                f"stops more fraud ({skewed.paid_share:.0f} % of the money paid, {matched.paid_share:.0f} % "
                "with the matched one). So this is not the worth of skew but of a lower bar: a model that "
                "learns from labels known so far takes frauds not reported yet for honest, and its "
                "probabilities are too low. With the bar set anew the difference is "
                f"{money_difference(effect_of(result.effects, f'{name}: skew, new bar').difference)}."
            )
    for name in _regimes(result):
        matched, anew = rows[f"{name}, matched"], rows[f"{name}, skewed, new bar"]
        if anew.alert_share > 1.5 * matched.alert_share:
            texts.append(
                f"{name}: even with the bar set anew {anew.alert_share:.1f} % are alerts, where the matched "
                f"model has {matched.alert_share:.1f} %: a bar that is right at the end of the history is "
                "not right in the days that follow. Supposed, not shown: where windows tumble, the scale of "
                "the features depends on how far the window has come."
            )
    return texts


STORY: Final = Story(
    question=QUESTION,
    answer=answer,
    set_up=(
        "'matched' models have learnt from features as their regime serves them, 'skewed' ones from fresh "
        "features; 'new bar': the probability from which the skewed model flags is chosen anew on features "
        "as served, so that 2 % of the end of the training period would be alerts."
    ),
    limits=(
        "Only skew by staleness and by windows: features that are computed wrongly are another matter, and "
        "the parity checks of the line look for these.",
        "One kind of model; a linear one may suffer otherwise.",
    ),
    surprises=surprises,
)
