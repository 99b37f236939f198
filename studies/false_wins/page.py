"""The study as a page."""

from typing import Final

from studies.false_wins.plan import PROMISED
from studies.false_wins.result import FalseWinsResult
from studies.frame.page import StudyReport, StudyTable
from studies.report import Cell, Grid

QUESTION: Final = "How often does an experiment tell equal arms apart, and how often a lift from none?"
LIMITS: Final = (
    "Cards are drawn from worlds that ran under one model: what arms do to each other is another study's.",
    "A planted lift makes each of B's cards lose the same share less; a real one strikes few of them.",
    "At 1 % B has so few cards that most tests say nothing whatever is true.",
)


def report_of(result: FalseWinsResult) -> StudyReport:
    """The page."""
    provenance = result.provenance
    worst = max(result.shares, key=lambda item: item.upper_bound)
    holds = "holds" if worst.upper_bound <= PROMISED else "does not hold"
    return StudyReport(
        question=QUESTION,
        answer=[
            f"Of {worst.tests:,} tests of equal arms with {worst.share} of the cards in B, looked at every "
            f"day for {result.days} days, {worst.wins} said that B is better and {worst.losses} that it is "
            f"worse: at most {worst.upper_bound:.1%} (upper 95 % bound), the worst of all shares. The "
            f"promise, at most {PROMISED:.0%}, {holds}. A fixed 95 % interval looked at as often is wrong in "
            f"{worst.naive:.0%}."
        ],
        set_up=(
            f"{len(result.seeds)} worlds of {result.world_cards:,} cards with fraud and blocks, decided for "
            f"{result.days} days by one model; net loss of a card has a coefficient of variation of "
            f"{result.coefficient_of_variation:.1f}. For each test {result.cards:,} cards are drawn with "
            "replacement, with all of their days, and put into B by chance; the interval is the controller's."
        ),
        figures=[],
        tables=[
            StudyTable(
                "Equal arms", "Tests that told them apart at any daily look.",
                Grid(
                    ["share of B", "tests", "B better", "B worse", "at most", "fixed interval"],
                    [
                        [
                            Cell(item.share), Cell(f"{item.tests:,}"), Cell(str(item.wins)),
                            Cell(str(item.losses)), Cell(f"{item.upper_bound:.2%}"),
                            Cell(f"{item.naive:.1%}"),
                        ]
                        for item in result.shares
                    ],
                ),
            ),
            StudyTable(
                "A planted lift",
                "Share of tests that found it by the last day, and the minimum detectable effect as printed.",
                Grid(
                    ["share of B", "detectable", *(f"{name} less" for name in result.shares[0].detected)],
                    [
                        [
                            Cell(item.share), Cell(f"{item.detectable_share:.0%}"),
                            *(Cell(f"{share:.0%}") for share in item.detected.values()),
                        ]
                        for item in result.shares
                    ],
                ),
            ),
        ],
        controls=["The tests of equal arms are the control: nothing is to be detected in them."],
        limits=LIMITS,
        command=f"fraudsim study false-wins --out DIR --{provenance.size}",
        source=f"fraudsim {provenance.versions.fraudsim}, code {provenance.code}",
    )  # fmt: skip
