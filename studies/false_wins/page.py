"""The study as a page."""

from collections.abc import Sequence
from typing import Final

from studies.false_wins.plan import ALL_LOSS, METHODS, OF_PAIRS, PARTED, PROMISED
from studies.false_wins.result import FalseWinsResult, MethodFigures
from studies.frame.page import StudyReport, StudyTable
from studies.report import Cell, Grid

QUESTION: Final = "How often does an experiment tell equal arms apart, and how often a lift from none?"
LIMITS: Final = (
    "Cards are drawn from worlds that ran under one model at a time: what arms do to each other is another "
    "study's.",
    "Loss is by the truth and known at once; a bank knows it later, and insults never.",
    "A planted lift makes each of B's cards lose the same share less. That is found by all loss alone: the "
    "pair's lift is one that a model can have, and strikes few cards.",
    "One pair: two bars of one model. Two models that differ on more cards gain less by counting from where "
    "the arms part, and such that differ on fewer gain more.",
    "At 1 % B has so few cards that most tests say nothing whatever is true.",
)


def report_of(result: FalseWinsResult) -> StudyReport:
    """The page."""
    provenance = result.provenance
    by_name = {(item.share, item.method): item for item in result.figures}
    return StudyReport(
        question=QUESTION,
        answer=_answer(result, by_name["25 %", ALL_LOSS], by_name["25 %", PARTED]),
        set_up=(
            f"{len(result.seeds)} worlds of {result.world_cards:,} cards with fraud and blocks are decided "
            f"by A for {result.days_before} days, and then lived twice for {result.days}: under A, which may "
            f"flag {result.alert_shares[0]:.0%} of payments, and under B, which may flag "
            f"{result.alert_shares[1]:.0%}. Under A a card's net loss has a coefficient of variation of "
            f"{result.coefficient_of_variation:.1f}; the arms part on {result.parted:.1%} of the "
            f"cards; the weeks before predict {result.explained:.1%} of its variance. For each test "
            f"{result.cards:,} cards are drawn with replacement, with all of their days, and put into B by "
            "chance."
        ),
        figures=[],
        tables=[_ways(result), _equal_arms(result), _planted(result), _pair(result)],
        controls=[
            "Equal arms are the control: nothing is to be detected in them. Where all loss counts, all "
            "cards live A's life. Where loss counts since the arms part, such arms would never part; each "
            "card lives A's life or B's by the toss of a coin, in both arms."
        ],
        limits=LIMITS,
        command=f"fraudsim study false-wins --{provenance.size} --seeds {len(result.seeds)} --out DIR",
        source=f"fraudsim {provenance.versions.fraudsim}, code {provenance.code}",
    )


def _answer(result: FalseWinsResult, before: MethodFigures, after: MethodFigures) -> list[str]:
    worst = max(result.figures, key=lambda item: item.upper_bound)
    holds = "holds" if worst.upper_bound <= PROMISED else "does not hold"
    lift = sum(result.pair_lifts) / len(result.pair_lifts)
    costs = f"{abs(lift):.0%} {'less' if lift < 0 else 'more'}"
    return [
        f"Of {worst.tests:,} tests of equal arms with {worst.share} of the cards in B, looked at every day "
        f"for {result.days} days ({worst.method}), {worst.wins} said that B is better and {worst.losses} "
        f"that it is worse: at most {worst.upper_bound:.1%} (upper 95 % bound), the worst of all shares and "
        f"ways to look. The promise, at most {PROMISED:.0%}, {holds}. A fixed 95 % interval looked at as "
        f"often is wrong in {worst.naive:.0%}.",
        f"B costs {costs} than A. With 25 % of the cards in B that is found in {before.pair_found:.0%} of "
        f"tests by {before.method}, and in {after.pair_found:.0%} by loss {after.method}; the minimum "
        f"detectable effect goes from {before.detectable_share:.0%} to {after.detectable_share:.0%} of A's "
        "net loss.",
    ]


def _ways(result: FalseWinsResult) -> StudyTable:
    cap = f"{result.cap_cents / 100:,.0f}"
    texts = {name: text.replace("the cap", f"a cap of {cap}") for name, text in METHODS.items()}
    rows = [[Cell(name), Cell(text)] for name, text in texts.items()]
    return StudyTable(
        "Ways to look", "What of each card counts, and how.", Grid(["way", "it looks at"], rows)
    )


def _rows(figures: Sequence[MethodFigures], of_item: Sequence[Sequence[str]]) -> list[list[Cell]]:
    return [
        [Cell(item.share), Cell(item.method), *(Cell(text) for text in texts)]
        for item, texts in zip(figures, of_item, strict=True)
    ]


def _equal_arms(result: FalseWinsResult) -> StudyTable:
    texts = [
        [
            f"{item.tests:,}", str(item.wins), str(item.losses), f"{item.upper_bound:.2%}",
            f"{item.naive:.1%}",
        ]
        for item in result.figures
    ]  # fmt: skip
    return StudyTable(
        "Equal arms", "Tests that told them apart at any daily look.",
        Grid(
            ["share of B", "way", "tests", "B better", "B worse", "at most", "fixed interval"],
            _rows(result.figures, texts),
        ),
    )  # fmt: skip


def _planted(result: FalseWinsResult) -> StudyTable:
    figures = [item for item in result.figures if item.method not in OF_PAIRS]
    lifts = list(figures[0].detected)
    texts = [[f"{item.detected[lift]:.0%}" for lift in lifts] for item in figures]
    return StudyTable(
        "A planted lift", "Each of B's cards loses so much less: tests that found it by the last day.",
        Grid(["share of B", "way", *(f"{lift} less" for lift in lifts)], _rows(figures, texts)),
    )  # fmt: skip


def _pair(result: FalseWinsResult) -> StudyTable:
    worlds = ", ".join(f"{lift:+.0%}" for lift in result.pair_lifts)
    texts = [
        [f"{item.detectable_share:.0%}", f"{item.pair_found:.0%}", f"{item.pair_wrong:.1%}"]
        for item in result.figures
    ]
    return StudyTable(
        "The pair",
        f"B's net loss is A's {worlds}, by world. Share of tests that found the better arm by the last day, "
        "or took the worse for it, and the minimum detectable effect as a share of A's net loss.",
        Grid(
            ["share of B", "way", "detectable", "found", "wrong"], _rows(result.figures, texts)
        ),
    )  # fmt: skip
