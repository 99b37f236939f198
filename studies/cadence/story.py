"""What the study of cadence says."""

from typing import Final

from lifecycle.retraining.triggers import RETRAINING_MINUTES
from producers.labels.consequences import Consequences
from studies.cadence.plan import NEVER, NULL, ORACLE
from studies.comparison.definition import ComparisonResult, Story
from studies.comparison.figures import ArmRow, effect_of
from studies.comparison.page import money, money_difference
from studies.frame.page import StudyTable
from studies.report import Cell, Grid

QUESTION: Final = "When does retraining pay?"
HOUR_CENTS: Final = Consequences().analyst_hour_cents


def answer(result: ComparisonResult) -> list[str]:
    """In sentences: what is told from never retraining, then every trigger under each change."""
    cheaper = [
        f"{effect.name} {money_difference(effect.difference)}"
        for effect in result.effects
        if effect.holds and effect.difference.mean < 0
    ]
    worse = [effect.name for effect in result.effects if effect.holds and effect.difference.mean > 0]
    texts = [
        f"Against never retraining, net loss per 1,000 cards and week is told to be lower for {len(cheaper)} "
        f"of {len(result.effects)} pairs of trigger and change"
        + (f": {'; '.join(cheaper)}" if cheaper else "")
        + (f"; and higher for {'; '.join(worse)}" if worse else "")
        + "."
    ]
    for condition in result.conditions:
        rows = [row for row in result.rows if row.condition == condition]
        base = next(row for row in rows if row.arm == NEVER)
        parts = [
            f"{row.arm} {money_difference(effect_of(result.effects, f'{row.arm}, {condition}').difference)} "
            f"({row.measures['retrainings']:.1f} retrainings)"
            for row in rows
            if row.arm not in (NEVER, NULL)
        ]
        texts.append(
            f"{condition.capitalize()}: without retraining the net loss is {money(base.net_loss)} per 1,000 "
            f"cards and week. Against that: {'; '.join(parts)}."
        )
    return texts


def surprises(result: ComparisonResult) -> list[str]:
    """Where even the oracle gains nothing that is told from chance, and where a trigger beats it."""
    texts = []
    for condition in result.conditions:
        effect = effect_of(result.effects, f"{ORACLE}, {condition}")
        if not effect.holds:
            texts.append(
                f"{condition.capitalize()}: even a model trained each week on the truth is not told from one "
                f"that is never trained again ({money_difference(effect.difference)})."
            )
    return texts


def cost_table(result: ComparisonResult) -> StudyTable:
    """What retraining takes of analysts and machines, and from how many cards its gain pays for them."""
    weeks = result.spec.days / 7
    rows = [_cost_cells(row, weeks) for row in result.rows if row.arm not in (NEVER, NULL)]
    return StudyTable(
        "What retraining takes",
        f"In {weeks:.0f} weeks: retrainings, analyst hours, CPU seconds of one retraining (its data and fit; "
        "vectors are those served), weeks from the change to the first one after it. Pays from: cards whose "
        f"gain, by the mean, is worth the analyst's time at {HOUR_CENTS / 100:g} an hour; - without a gain.",
        Grid(["trigger", "world", "number", "hours", "CPU s", "first", "pays from"], rows),
    )


def _cost_cells(row: ArmRow, weeks: float) -> list[Cell]:
    measures = row.measures
    number = measures["retrainings"]
    week_cents = measures["analyst hours"] * HOUR_CENTS / weeks
    gain_cents = -row.against_base.mean
    first = measures.get("weeks to the first after the change")
    return [
        Cell(row.arm),
        Cell(row.condition),
        Cell(f"{number:.1f}"),
        Cell(f"{measures['analyst hours']:.1f}"),
        Cell(f"{measures['CPU seconds'] / number:.1f}" if number else "-"),
        Cell("-" if first is None else f"{first:.1f}"),
        Cell(f"{1_000 * week_cents / gain_cents:,.0f} cards" if gain_cents > 0 and number else "-"),
    ]


STORY: Final = Story(
    question=QUESTION,
    answer=answer,
    set_up=(
        "Weeks of the fast-forward. Between two weeks a trigger may ask for a new model, which learns from "
        "the payments of the last 75 days and from the labels that the line has heard by then: late, and "
        "only of what its decisions let be seen. It decides at once, without gate and shadow. Performance "
        "and money look at four weeks of payments of mature age together. The oracle is trained each week on "
        "the truth of the weeks before. A retraining takes "
        f"{RETRAINING_MINUTES:g} minutes of an analyst, whatever the number of cards, so it is stated beside "
        "the net loss, and not within it: that is what is sacrificed for the gain."
    ),
    limits=(
        "The oracle retrains weekly, not daily.",
        "Small worlds: what a retraining costs does not grow with cards, what it gains does.",
        "Fraudsters do not react to the new model.",
    ),
    surprises=surprises,
    tables=lambda result: [cost_table(result)],
)
