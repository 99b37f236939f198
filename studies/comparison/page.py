"""The page of a study that compares arms with a base."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from fraudsim.drawing.plot import Plot, text_px
from fraudsim.drawing.scales import LinearScale, linear_ticks
from fraudsim.drawing.themes import FRAUD, HONEST, INK, QUIET
from producers.ledger.comparison import Difference
from studies.comparison.figures import RANKING, ArmRow, Effect
from studies.frame.page import StudyFigure, StudyReport, StudyTable
from studies.report import Cell, Grid

if TYPE_CHECKING:
    from studies.comparison.definition import ComparisonResult, Story

WIDTH: Final = 720.0
ROW: Final = 24.0
SILENT: Final = 0.05
"""Percent of the payments that are alerts, below which a model is called silent."""
UNIT: Final = "per 1,000 cards and week"


def money(cents: float) -> str:
    """Whole currency units.

    >>> money(123456)
    '1,235'
    """
    return f"{cents / 100:,.0f}"


def money_difference(difference: Difference) -> str:
    """A difference in whole currency units, with its interval."""
    mean = _signed(difference.mean)
    if difference.low is None or difference.high is None:
        return f"{mean} (one world: no interval)"
    return f"{mean} ({_signed(difference.low)} to {_signed(difference.high)})"


def _signed(cents: float) -> str:
    """Whole currency units with their sign; what rounds to 0 has no minus."""
    return f"{round(cents / 100):+,}"


def verdict(effect: Effect) -> str:
    """In words."""
    if effect.holds:
        return "told apart"
    low, high = effect.difference.low, effect.difference.high
    return "alone only" if low is not None and high is not None and low * high > 0 else "not told apart"


def report_of(result: "ComparisonResult", story: "Story", options: str = "") -> StudyReport:
    """The page; answer first. `options` are those of the command beside its size."""
    size, file = result.provenance.size, result.file
    limits = WORLD_LIMITS if file is None else FILE_LIMITS
    if file is not None:
        options = f" --history DIR --days {file.days}{options}"
    money_effects = [effect for effect in result.effects if effect.measure != RANKING]
    return StudyReport(
        question=story.question,
        answer=story.answer(result),
        set_up=f"{worlds_text(result)} {story.set_up} {method_text(result)}",
        figures=[effects_figure(result, money_effects), *story.figures(result)],
        tables=[
            effects_table(money_effects), *ranking_tables(result), arms_table(result), *story.tables(result),
        ],
        controls=controls_text(result),
        limits=[*story.limits, *limits],
        command=f"fraudsim study {result.provenance.study} --{size}{options} --out DIR",
        source=f"fraudsim {result.provenance.versions.fraudsim}, code {result.provenance.code}"
        f"{result.provenance.time_text}",
        surprises=[*silence(result), *story.surprises(result)],
    )  # fmt: skip


def silence(result: "ComparisonResult") -> list[str]:
    """Whether no model flags anything: then arms are equal because they are silent."""
    if any(row.alert_share >= SILENT for row in result.rows):
        return []
    return [
        "No arm flags anything: too few frauds were known to learn from, so that the arms are equal says "
        "nothing of them. Take more cards, or a longer past."
    ]


_OF_WORLDS: Final = (
    "Twins see the same payments until a decision changes what a campaign does next. Every arm has a model "
    "of its own in each world, trained on that world's own history with the labels known by its end, and may "
    "flag 2 % of the payments at the end of its training period. "
)
_OF_A_FILE: Final = (
    "Twins see the same payments, whatever is decided. Every arm has trees of its own for each share of the "
    "cards, trained on the whole past with the labels known by its end, and may flag 2 % of the payments at "
    "the end of its training period. "
)
_METHOD: Final = (
    "Money is that of the ledger: fraud paid, insults, friction and reviews. The unit of every interval is "
    "the {unit}, differences are paired within a {short}, intervals are 95 % of Student's t, one at a time; "
    "an effect is called told apart if it holds among all contrasts of this page (Holm). {base} is fitted "
    "twice, and contrasts are with the mean of both fits, which has half the chance of one fit in it."
)
LIMITS: Final = ("Honest customers do not try again here after a payment is stopped.",)
WORLD_LIMITS: Final = (
    "The world is synthetic: what frauds do, how they hide and how often they come are assumptions, and so "
    "are all prices.",
    *LIMITS,
)
FILE_LIMITS: Final = (
    "One file of one time: intervals say what other cards of it and other fits would give, not what another "
    "month or bank would. Shares of the cards learn from one past, and the frauds of one merchant may lie in "
    "several of them, so intervals are somewhat too narrow.",
    "Nobody reacts: who is stopped does not try elsewhere. All prices are assumptions.",
    *LIMITS,
)


def method_text(result: "ComparisonResult") -> str:
    """How arms are compared."""
    base = result.base[0].upper() + result.base[1:]
    if result.file is None:
        return _OF_WORLDS + _METHOD.format(unit="world (seed)", short="world", base=base)
    return _OF_A_FILE + _METHOD.format(unit="share of the cards", short="share", base=base)


def units(result: "ComparisonResult") -> str:
    """What intervals are over, with their number."""
    return f"{len(result.seeds)} " + ("worlds" if result.file is None else "shares of the cards")


def worlds_text(result: "ComparisonResult") -> str:
    """How many worlds of what size."""
    spec, file = result.spec, result.file
    if file is not None:
        return (
            f"A file of layout {file.source}: {file.cards:,} cards, {file.history_days} days of past and "
            f"{file.days} days that are decided, in {units(result)}."
        )
    world = dict(spec.world)
    scale = f", with {world['fraud_scale']:g} times the usual fraud" if "fraud_scale" in world else ""
    return (
        f"{len(result.seeds)} worlds of {spec.cards:,} cards, {spec.history_days} days of history and "
        f"{spec.days} days that are decided{scale}."
    )


def effects_table(effects: Sequence[Effect]) -> StudyTable:
    """Contrasts in money."""
    rows = [
        [Cell(effect.name), Cell(money_difference(effect.difference)), Cell(verdict(effect))]
        for effect in effects
    ]
    return StudyTable(
        "Contrasts", f"Net loss {UNIT}, 95 % intervals; less than 0 is cheaper.",
        Grid(["what", "difference", "verdict"], rows),
    )  # fmt: skip


def points(difference: Difference) -> str:
    """A difference of average precision in points of a hundred, with its interval."""
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.1f} (one world: no interval)"
    return f"{difference.mean:+.1f} ({difference.low:+.1f} to {difference.high:+.1f})"


def ranking_tables(result: "ComparisonResult") -> list[StudyTable]:
    """Contrasts in average precision, if the study has any."""
    effects = [effect for effect in result.effects if effect.measure == RANKING]
    if not effects:
        return []
    bases = ", ".join(
        f"{row.measures[RANKING]:.1f}" + (f" ({row.condition})" if len(result.conditions) > 1 else "")
        for row in result.rows
        if row.arm == result.base
    )
    rows = [
        [Cell(effect.name.removesuffix(", ranking")), Cell(points(effect.difference)), Cell(verdict(effect))]
        for effect in effects
    ]
    note = (
        f"Average precision of the scores of all decided payments, in points of a hundred, 95 % intervals; "
        f"less than 0 ranks worse. By {result.base}: {bases}."
    )
    return [StudyTable("Ranking", note, Grid(["what", "difference", "verdict"], rows))]


def effect_text(effect: Effect) -> str:
    """A contrast's difference for a sentence, with a word where it is not told apart."""
    shown = points if effect.measure == RANKING else money_difference
    return f"{shown(effect.difference)}{'' if effect.holds else ', not told apart'}"


def told_text(effects: Mapping[str, Effect]) -> str:
    """Contrasts for a sentence, by the name of each: those told apart with their figures, the others by name.

    >>> told_text({})
    ''
    """
    shown = [f"{name} {effect_text(effect)}" for name, effect in effects.items() if effect.holds]
    rest = [name for name, effect in effects.items() if not effect.holds]
    if rest:
        shown.append(f"{listed(rest)} not told apart")
    return "; ".join(shown)


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]])


def arms_table(result: "ComparisonResult") -> StudyTable:
    """Every arm."""
    several = len(result.conditions) > 1
    heads = ["arm", *(["world"] if several else []), "net loss", "to base", "alerts", "insults", "paid"]
    return StudyTable(
        "Arms",
        f"Net loss {UNIT}, against both fits of {result.base}; alerts in percent of the payments, "
        "insults a week, share of the money of frauds that was paid.",
        Grid(heads, [_arm_cells(row, result.base, several=several) for row in result.rows]),
    )


def _arm_cells(row: ArmRow, base: str, *, several: bool) -> list[Cell]:
    return [
        Cell(row.arm),
        *([Cell(row.condition)] if several else []),
        Cell(money(row.net_loss)),
        Cell("" if row.arm == base else money_difference(row.against_base)),
        Cell(f"{row.alert_share:.1f}%"),
        Cell(f"{row.insults_a_week:,.0f}"),
        Cell(f"{row.paid_share:.0f}%"),
    ]


def controls_text(result: "ComparisonResult") -> list[str]:
    """What the study finds where the answer is known."""
    texts = []
    for control in result.controls:
        where = f"{control.condition}: " if len(result.controls) > 1 else ""
        null = "told apart, wrongly" if control.null_told else "not told apart, rightly"
        planted = "found" if control.planted_told else "not found: too few worlds for an effect of this size"
        unit = "world" if result.file is None else "share"
        least = (
            ""
            if control.detectable is None
            else (f" Four of five such studies would find {money(control.detectable)} or more.")
        )
        texts.append(
            f"{where}two fits of {result.base} differ by {money_difference(control.null)}: {null}. With "
            f"{control.planted_share:.0%} of each {unit}'s net loss ({money(control.planted)}) added to one "
            f"of them it is {money_difference(control.observed)}: {planted}.{least}"
        )
    return texts


def effects_figure(result: "ComparisonResult", shown: Sequence[Effect]) -> StudyFigure:
    """Contrasts in money with their intervals."""
    plot = Plot(
        "Contrasts", "Net loss, paired over worlds, 95 % intervals; to the right costs more.",
        width=WIDTH, height=52 + ROW * len(shown), left=24 + max(text_px(effect.name) for effect in shown),
    )  # fmt: skip
    ends = [
        value / 100
        for effect in shown
        for value in (effect.difference.low, effect.difference.high, effect.difference.mean)
        if value is not None
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    x = plot.x_scale(low - 0.02 * (high - low), high + 0.02 * (high - low) or 1.0)
    bottom = plot.top + ROW * len(shown)
    y = LinearScale(0, len(shown), plot.top, bottom)
    plot.line_between(x(0), plot.top, x(0), bottom, QUIET)
    for row, effect in enumerate(shown):
        difference, middle = effect.difference, y(row + 0.5)
        colour = FRAUD if effect.holds else HONEST
        plot.text(plot.left - 10, middle + 4, effect.name, anchor="end", colour=INK)
        if difference.low is not None and difference.high is not None:
            plot.line_between(x(difference.low / 100), middle, x(difference.high / 100), middle, colour, 2)
        plot.dot(x(difference.mean / 100), middle, colour, f"{effect.name}: {difference.text}")
    for value, label in linear_ticks(low, high):
        plot.text(x(value), bottom + 18, label, anchor="middle", colour=QUIET)
    caption = f"Net loss, {UNIT}, with 95 % intervals over {units(result)}; red: told apart among all."
    return StudyFigure("contrasts", caption, plot.render())
