"""The study as a page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from lifecycle.backtest.verdict import Interval
from lifecycle.evidence.money import DifferenceReading
from studies.bad_models.plan import EXTRA_FRAUD, GOOD
from studies.bad_models.result import BadModelsResult, WaysOfModel
from studies.frame.page import StudyReport, StudyTable
from studies.report import Cell, Grid

QUESTION: Final = "Which gate stops a bad model: the check, the backtest, the shadow, a stage?"
LIMITS: Final = (
    "A backtest here is a twin run, which knows the truth; a bank's is off-policy, and knows less.",
    "Each fault is as large as its maker made it: a smaller one passes more gates.",
    "Every gate is asked, whatever the one before said. A backtest that cannot tell lets nothing through.",
    "A world is one sample of frauds, and each model is one fit.",
)


def report_of(result: BadModelsResult) -> StudyReport:
    """The page."""
    provenance = result.provenance
    return StudyReport(
        question=QUESTION,
        answer=_answer(result),
        set_up=(
            f"{len(result.seeds)} worlds of {result.cards:,} cards with {EXTRA_FRAUD:g} times the usual "
            "fraud. In each a champion is trained, and models that have one fault each, or none; each is "
            "checked, compared with the champion by a twin run, and put into an experiment of stages "
            f"{result.stages} days in the fast-forward, looked at every day."
        ),
        figures=[],
        tables=[_gates(result), _experiments(result), _lifts(result)],
        controls=[_control(next(item for item in result.models if item.name == GOOD))],
        limits=LIMITS,
        command=f"fraudsim study bad-models --out DIR --{provenance.size}",
        source=f"fraudsim {provenance.versions.fraudsim}, code {provenance.code}",
    )


def _answer(result: BadModelsResult) -> list[str]:
    bad = [item for item in result.models if item.name != GOOD]
    worlds = len(result.seeds)
    whole = [item for item in bad if item.stopped == worlds]
    passed = "; ".join(
        f"{item.name} in {worlds - item.stopped} of {worlds}" for item in bad if item.stopped < worlds
    )
    alone = [item for item in bad if item not in _by_experiment(bad, worlds) and _began(item)]
    return [
        f"{len(whole)} of {len(bad)} bad models are stopped before 25 % of the cards in all of {worlds} "
        f"worlds{f'; let through: {passed}' if passed else ''}.",
        f"By the experiment alone, without check and backtest, {_names(_by_experiment(bad, worlds))} would "
        f"have been stopped before 25 % in every world; not so {_names(alone)}.",
    ]


def _began(item: WaysOfModel) -> bool:
    return any(way.status for way in item.ways)


def _by_experiment(models: Sequence[WaysOfModel], worlds: int) -> list[WaysOfModel]:
    return [item for item in models if sum(way.rolled_back_early for way in item.ways) == worlds]


def _names(models: Sequence[WaysOfModel]) -> str:
    return ", ".join(item.name for item in models) or "none"


def _control(good: WaysOfModel) -> str:
    rolled = sum(way.status == "rolled back" for way in good.ways)
    return (
        f"{GOOD.capitalize()}: stopped before 25 % in {good.stopped} of {len(good.ways)} worlds "
        f"({_counts(way.stopped_by for way in good.ways if way.stopped_by)}); its experiment was rolled back "
        f"in {rolled}."
    )


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in Counter(words).most_common()) or "none"


def _gates(result: BadModelsResult) -> StudyTable:
    rows = [
        [
            Cell(item.name),
            Cell(f"{sum(way.check != 'passes' for way in item.ways)}"),
            Cell(_counts(way.backtest.partition(":")[0] for way in item.ways if way.backtest)),
            Cell(f"{item.stopped} of {len(item.ways)}"),
        ]
        for item in result.models
    ]
    return StudyTable(
        "Gates", "Worlds in which the check refused the model, what the backtest said, and worlds in which "
        "some gate stopped it before 25 % of the cards.",
        Grid(["model", "refused", "backtest", "stopped"], rows),
    )  # fmt: skip


def _experiments(result: BadModelsResult) -> StudyTable:
    rows = []
    for item in result.models:
        begun = [way for way in item.ways if way.status]
        if begun:
            excess = float(np.mean([way.true_excess_cents for way in begun]))
            rows.append(
                [
                    Cell(item.name), Cell(_counts(f"{way.status} in {way.stage}" for way in begun)),
                    Cell(f"{np.median([way.days for way in begun]):g}"), Cell(f"{excess / 100:+,.2f}"),
                ]
            )  # fmt: skip
    return StudyTable(
        "Experiments", "How they ended, the median of the days until then, and what B's cards lost more than "
        "as many of A's while B decided, by the truth, in the mean of the worlds.",
        Grid(["model", "ended", "days", "excess"], rows),
    )  # fmt: skip


def _lifts(result: BadModelsResult) -> StudyTable:
    rows = [
        [
            Cell(f"{item.name}, world {seed}"), Cell(_text(way.backtest_gain)), Cell(_text(way.replay)),
            Cell(_text(way.online)), Cell(f"{way.cards_of_b:,} of {way.cards_of_a + way.cards_of_b:,}"),
        ]
        for item in result.models
        for seed, way in zip(result.seeds, item.ways, strict=True)
        if way.online is not None
    ]  # fmt: skip
    return StudyTable(
        "Offline gain against online lift",
        "Where the experiment came so far that net loss was read: B less A per 1,000 cards and week, 95 %. "
        "The backtest is a twin run, the replay B's answers to what A decided, online what the experiment "
        "saw of loss that was old enough.",
        Grid(["model", "backtest", "replay", "online", "cards of B"], rows),
    )


def _text(reading: Interval | DifferenceReading | None) -> str:
    return "none" if reading is None else reading.text
