"""The study of value: its cells, and what it says."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Final

from fraudsim.drawing.plot import Plot
from fraudsim.drawing.scales import linear_ticks, log_ticks
from fraudsim.drawing.themes import PALETTE, QUIET
from fraudsim.settings import load_settings
from studies.comparison.definition import ComparisonPlan, ComparisonResult, Story, comparison_study
from studies.comparison.figures import ArmRow, MeasuredLine
from studies.comparison.page import WIDTH, money_difference
from studies.frame.cell_plan import CellPlan, Size
from studies.frame.definition import StudyDefinition
from studies.frame.page import StudyFigure, StudyTable
from studies.report import Cell, Grid
from studies.value.cell import run_cell
from studies.value.footprint import SOURCES, Footprint
from studies.value.plan import FRESH, FULL, NULL, QUICK, ValuePlan
from studies.value.prices import VOLUMES, break_even, cheapest, saved_a_payment

QUESTION: Final = "From which volume does a real-time line pay, and how stale may features be below?"
MODULES: Final = ("studies/value/cell.py", "studies/value/plan.py", "studies/comparison/figures.py")


def study_of(size: Size) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of one size. Prices are those of the settings: no run depends on them.

    Raises:
        FraudsimError: a price is not known or out of its range.
    """
    plan = FULL if size == "full" else QUICK
    return study_by(plan, size, Footprint.of(load_settings().footprint))


def study_by(
    plan: ValuePlan, size: Size, footprint: Footprint
) -> StudyDefinition[MeasuredLine, ComparisonResult]:
    """The study of a plan, at these prices."""
    cells = CellPlan(
        study="value", arms={name: asdict(arm) for name, arm in plan.arms().items()},
        conditions=plan.conditions(), sizes=asdict(plan.spec), seeds=plan.seeds, most_seeds=plan.most_seeds,
        run=partial(run_cell, plan), figures=MeasuredLine, modules=MODULES,
    )  # fmt: skip
    comparison = ComparisonPlan(
        cells=cells, spec=plan.spec, base=FRESH, null=NULL, contrasts=plan.contrasts(), width=0.15
    )
    return comparison_study(size, comparison, Balance(plan, footprint).story)


class Balance:
    """Savings against footprints, and how that reads."""

    def __init__(self, plan: ValuePlan, footprint: Footprint) -> None:
        self._plan, self._footprint = plan, footprint
        arms = plan.arms()
        del arms[NULL]
        self._regimes = {name: arm.regime for name, arm in arms.items()}

    @property
    def story(self) -> Story:
        """What the study says."""
        return Story(
            question=QUESTION, answer=self.answer, set_up=SET_UP, limits=LIMITS, surprises=self.surprises,
            tables=self.tables,
            figures=lambda result: [self.figure(result)],
        )  # fmt: skip

    def tables(self, result: ComparisonResult) -> list[StudyTable]:
        """All tables."""
        return [self.volumes_table(result), self.choice_table(result), self.prices_table()]

    def _rows(self, result: ComparisonResult, condition: str) -> list[ArmRow]:
        return [row for row in result.rows if row.condition == condition and row.arm not in (FRESH, NULL)]

    def _volume(self, row: ArmRow, saved: float | None) -> float | None:
        if saved is None:
            return None
        return break_even(saved, self._footprint, self._regimes[FRESH], self._regimes[row.arm])

    def answer(self, result: ComparisonResult) -> list[str]:
        """In sentences."""
        texts = [self._pays(self._rows(result, condition)[-1]) for condition in result.conditions]
        return texts + [self._staleness(result, condition) for condition in result.conditions]

    def _pays(self, row: ArmRow) -> str:
        """From which volume the line pays against a job."""
        saved = saved_a_payment(row)
        volume, certain = self._volume(row, saved.mean), self._volume(row, saved.low)
        saving = f"{1e6 * saved.mean:,.0f}"
        if saved.low is not None and saved.high is not None:
            saving += f" ({1e6 * saved.low:,.0f} to {1e6 * saved.high:,.0f})"
        head = (
            f"At {row.condition} ({row.measures['fraud rate']:.1f} % of the payments fraud) real time saves "
            f"{saving} in a million payments against a {row.arm}"
        )
        if volume is None:
            return f"{head}: it never pays for its footprint."
        if certain is None:
            return (
                f"{head}: by the mean it pays from {volume_text(volume)} payments a month, but the interval "
                "reaches 0, so these worlds do not tell from which volume, or whether at all."
            )
        return (
            f"{head}: it pays from {volume_text(volume)} payments a month, at worst {volume_text(certain)}."
        )

    def _staleness(self, result: ComparisonResult, condition: str) -> str:
        rows = self._rows(result, condition)
        ranges: list[tuple[str, float, float]] = []
        for volume in VOLUMES:
            name, _ = cheapest(rows, self._regimes, self._footprint, volume)
            if ranges and ranges[-1][0] == name:
                ranges[-1] = (name, ranges[-1][1], volume)
            else:
                ranges.append((name, volume, volume))
        texts = [
            f"{name} at {volume_text(first)}" + (f" to {volume_text(last)}" if last > first else "")
            for name, first, last in ranges
        ]
        return (
            f"Loss and footprint together are least, by the means, at {condition}: {', '.join(texts)} "
            "payments a month."
        )

    def surprises(self, result: ComparisonResult) -> Sequence[str]:
        """Jobs that lose less than real time."""
        return [
            f"{effect.name}, loses less than real time ({money_difference(effect.difference)}): unexplained."
            for effect in result.effects
            if effect.holds and effect.difference.mean < 0
        ]

    def volumes_table(self, result: ComparisonResult) -> StudyTable:
        """Break-even volumes."""
        rows = []
        for condition in result.conditions:
            for row in self._rows(result, condition):
                saved = saved_a_payment(row)
                ends = [self._volume(row, end) for end in (saved.mean, saved.high, saved.low)]
                rows.append(
                    [
                        Cell(condition),
                        Cell(row.arm),
                        Cell(f"{1e6 * saved.mean:,.0f}"),
                        *(Cell(volume_text(end)) for end in ends),
                    ]
                )
        return StudyTable(
            "Break-even",
            "What real time saves in a million payments, currency units, and the payments a month from which "
            "it pays: by the mean, and by the ends of the 95 % interval (never: it saves nothing).",
            Grid(["world", "instead of", "saved", "pays from", "at best", "at worst"], rows),
        )

    def choice_table(self, result: ComparisonResult) -> StudyTable:
        """The cheapest regime by volume."""
        rows = []
        for condition in result.conditions:
            chosen = [
                cheapest(self._rows(result, condition), self._regimes, self._footprint, v)[0] for v in VOLUMES
            ]
            rows.append([Cell(condition), *map(Cell, chosen)])
        return StudyTable(
            "Break-even staleness",
            "The regime that costs least, loss and footprint together, by payments a month; by the means.",
            Grid(["world", *(volume_text(volume) for volume in VOLUMES)], rows),
        )

    def prices_table(self) -> StudyTable:
        """Every price and size."""
        rows = [
            [
                Cell(field.name),
                Cell(f"{getattr(self._footprint, field.name):,g}"),
                Cell(
                    SOURCES[field.name]
                    if getattr(self._footprint, field.name) == field.default
                    else "the settings"
                ),
            ]
            for field in fields(Footprint)
        ]
        return StudyTable(
            "Prices and sizes",
            "Currency units a month or as named; each is a setting, FRAUDSIM_FOOTPRINT__NAME.",
            Grid(["name", "value", "source"], rows),
        )

    def figure(self, result: ComparisonResult) -> StudyFigure:
        """What real time saves less what its footprint costs more, by volume, against the stalest job."""
        plot = Plot(
            "Balance by volume", "Money saved against the stalest job less the difference of footprints.",
            width=WIDTH, height=320, left=86, top=34,
        )  # fmt: skip
        volumes = [10 ** (4 + step / 10) for step in range(41)]
        curves = {}
        for condition in result.conditions:
            row = self._rows(result, condition)[-1]
            rows = [row]
            curves[condition] = [
                cheapest(rows, self._regimes, self._footprint, volume)[1][row.arm] / 1e3 for volume in volumes
            ]
        low = max(-20.0, min(min(values) for values in curves.values()))
        x, y = plot.x_scale(volumes[0], volumes[-1], log=True), plot.y_scale(low, 50.0)
        plot.y_axis(y, linear_ticks(low, 50.0), "thousands a month")
        plot.x_axis(x, log_ticks(volumes[0], volumes[-1]), "payments a month")
        plot.line_between(plot.left, y(0), plot.width - plot.right, y(0), QUIET)
        colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(curves)}
        for name, values in curves.items():
            shown = [(v, value) for v, value in zip(volumes, values, strict=True) if low <= value <= 50]
            if len(shown) > 1:
                xs, ys = zip(*shown, strict=True)
                plot.line(xs, ys, x, y, colours[name])
        plot.legend([(name, colours[name]) for name in curves])
        job = self._rows(result, result.conditions[0])[-1].arm
        caption = (
            f"What a real-time line saves a month against a {job}, "
            "less what its footprint costs more; above 0 it pays. By the means."
        )
        return StudyFigure("balance", caption, plot.render())


def volume_text(volume: float | None) -> str:
    """A number of payments for people.

    >>> volume_text(2_340_000.0)
    '2.3 M'
    """
    if volume is None:
        return "never"
    for size, unit in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        if volume >= size:
            return f"{volume / size:.2g}{unit}" if volume < 100 * size else f"{volume / size:.0f}{unit}"
    return f"{volume:.0f}"


SET_UP: Final = (
    "A job has no duration here: features are 0 to one period old. Decisions are online in every case, by "
    "scorers that read a store; a real-time line adds brokers, workers and somebody on call at night, a job "
    "adds its machine, and that somebody only if its period is short."
)
LIMITS: Final = (
    "Prices of machines and people are assumed or given by the settings; so are the number of hours that a "
    "line takes. A bank that runs Kafka anyway pays less for the line.",
    "Loss is taken to grow with the number of payments; a small bank's mix of cards and frauds differs.",
)
