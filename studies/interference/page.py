"""The study as a page."""

from collections.abc import Sequence
from typing import Final

from fraudsim.drawing.plot import Plot
from fraudsim.drawing.themes import HONEST, INK
from producers.ledger.comparison import Difference
from studies.frame.page import StudyFigure, StudyReport, StudyTable
from studies.interference.plan import EVERYTHING
from studies.interference.result import InterferenceResult
from studies.report import Cell, Grid

QUESTION: Final = "How far is an A/B test between cards from what all cards would see, and why?"
LIMITS: Final = (
    "One pair of models, of which B flags four times as much; a pair that differs less interferes less.",
    "Honest customers do not try again, and cards do not leave the bank.",
    "Causes are taken away one at a time; what they do together is the rest.",
    "Each card is compared with itself in a mirrored run, which no bank can do: the bias is seen without the "
    "noise that a single experiment has.",
)


def report_of(result: InterferenceResult) -> StudyReport:
    """The page."""
    provenance = result.provenance
    return StudyReport(
        question=QUESTION,
        answer=_answer(result),
        set_up=(
            f"{len(result.seeds)} worlds of {result.cards:,} cards, {result.days} days of event time; "
            f"campaigns react, an analyst takes two hours a case ({result.reviews:.0f} reviews a run under "
            f"B). A may flag {result.alert_shares[0]:.0%} of payments, B {result.alert_shares[1]:.0%}, by "
            "one model. Each world is run with all cards under A, with all under B, and with half of "
            "the cards, of the cities, or every other day under B, and the other half in a mirrored run."
        ),
        figures=_figures(result),
        tables=[_designs(result), _causes(result), _lifts(result)],
        controls=_controls(result),
        limits=LIMITS,
        command=f"fraudsim study interference --out DIR --{provenance.size}",
        source=f"fraudsim {provenance.versions.fraudsim}, code {provenance.code}",
    )


def _excludes_zero(difference: Difference) -> bool:
    return difference.low is not None and difference.high is not None and difference.low * difference.high > 0


def _answer(result: InterferenceResult) -> list[str]:
    by_card = result.designs[0]
    verdict = "is told from none" if _excludes_zero(by_card.bias) else "is not told from none"
    sentences = [
        f"With all cards under B net loss changes by {by_card.lift.text} per 1,000 cards and week (all under "
        f"A: {result.loss_of_a / 100:,.2f}); an experiment by card says {by_card.estimate.text}. Its bias, "
        f"{by_card.bias.text}, {verdict}."
    ]
    named = [name for name, change in result.removed.items() if _excludes_zero(change)]
    if named:
        sentences.append(f"Told apart among the causes: {', '.join(named)}.")
    else:
        sentences.append(f"No single cause is told from none by {len(result.seeds)} worlds.")
    sentences.append(
        "The analysts are divided between the arms; if both waited for the same ones the bias would change "
        f"by {result.one_desk.text}."
    )
    return sentences


def _controls(result: InterferenceResult) -> list[str]:
    last = result.designs[-1]
    return [
        f"{last.condition.capitalize()}: the bias must be near 0, since cards hardly share anything then; it "
        f"is {last.bias.text}."
    ]


def _designs(result: InterferenceResult) -> StudyTable:
    rows = [
        [Cell(item.design), Cell(item.estimate.text), Cell(item.bias.text)]
        for item in result.designs
        if item.condition == EVERYTHING
    ]
    return StudyTable(
        "Designs",
        f"B less A per 1,000 cards and week, as things are; the truth is {result.designs[0].lift.text}.",
        Grid(["split", "it says", "bias"], rows),
    )


def _causes(result: InterferenceResult) -> StudyTable:
    rows = [
        [Cell(item.condition), Cell(item.bias.text), Cell(_removed(result, item.condition))]
        for item in result.designs
        if item.design == "by card"
    ]
    return StudyTable(
        "Causes", "The bias of a split by card, and what it loses with the cause.",
        Grid(["world", "bias", "of it taken away"], rows),
    )  # fmt: skip


def _removed(result: InterferenceResult, condition: str) -> str:
    return result.removed[condition].text if condition in result.removed else ""


def _lifts(result: InterferenceResult) -> StudyTable:
    rows = [
        [
            Cell(str(row.seed)),
            *(
                Cell(f"{cents / 100:+,.2f}")
                for cents in (row.offline, row.one_half, row.experiment, row.online)
            ),
        ]
        for row in result.lifts
    ]
    return StudyTable(
        "Offline gain against online lift",
        "B less A per 1,000 cards and week. Offline: B's answers to what A decided, by the truth.",
        Grid(["world", "offline", "one experiment", "both halves", "all cards"], rows),
    )


def _figures(result: InterferenceResult) -> Sequence[StudyFigure]:
    """The bias of each design and condition with its interval."""
    rows = [
        (f"{item.design}, {item.condition}", item.bias.mean, item.bias.low, item.bias.high)
        for item in result.designs
    ]
    ends = [end / 100 for _, mean, low, high in rows for end in (mean, low, high, 0.0) if end is not None]
    plot = Plot(
        "Bias by design and cause", "The dot is the mean over worlds, the line its 95 % interval.",
        width=720, height=70 + 26 * len(rows), left=260,
    )  # fmt: skip
    low_end, high_end = min(ends), max(ends)
    slack = 0.05 * max(high_end - low_end, 1.0)
    x = plot.x_scale(low_end - slack, high_end + slack)
    step = (high_end - low_end + 2 * slack) / 4
    ticks = [(low_end - slack + n * step, f"{low_end - slack + n * step:,.0f}") for n in range(5)]
    plot.x_axis(x, ticks, "estimate less truth, per 1,000 cards and week", lines=True)
    plot.line_between(x(0.0), plot.top, x(0.0), plot.height - plot.bottom, INK)
    for number, (name, mean, low, high) in enumerate(rows):
        y = plot.top + 14 + 26 * number
        plot.text(plot.left - 8, y + 4, name, anchor="end")
        if low is not None and high is not None:
            plot.line_between(x(low / 100), y, x(high / 100), y, HONEST, 2)
        plot.line_between(x(mean / 100) - 4, y, x(mean / 100) + 4, y, HONEST, 7)
    return [StudyFigure("bias", "How far each design is from the truth.", plot.render())]
