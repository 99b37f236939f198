"""The study for people."""

from typing import Final

from dashboards.drift.detector import PROMISED_WEEKS, BlockDetector
from fraudsim.drawing.plot import Plot, text_px
from fraudsim.drawing.themes import FRAUD, HONEST, INK, PALETTE
from studies.drift.cell import TRAINING
from studies.drift.plan import scenarios
from studies.drift.result import DriftResult
from studies.drift.statistics import Detection, FalseAlarms
from studies.frame.page import StudyFigure, StudyReport, StudyTable
from studies.report import Cell, Grid

ROW: Final = 24.0
NAMES: Final = {BlockDetector.name: "weekly", TRAINING: "weekly, training"}
"""Of detectors, where the page calls them otherwise."""
QUESTION: Final = "How often does drift alarm without cause, and how soon with one?"
LIMITS: Final = (
    "The world is synthetic: real weeks may differ more from one another, and then limits are wider.",
    "Small worlds: with a few hundred cards a week has some ten frauds in a few campaigns, so rates of fraud "
    "vary tenfold by themselves, and their signals find nothing but a landslide.",
    "Alarms in a row count one by one, though one cause may make them: the run length is on the safe side, "
    "its interval is too narrow, and the one to the first alarm is honest.",
    "One change at a time, of the stated size.",
)


def report_of(result: DriftResult) -> StudyReport:
    """Everything the study says."""
    return StudyReport(
        question=QUESTION,
        answer=_answer(result),
        set_up=_set_up(result),
        figures=[_run_length_figure(result), _detection_figure(result)],
        tables=[_false_alarm_table(result), _detection_table(result)],
        controls=[
            "A detector that always alarms finds everything in its first week, one that never does has no "
            "false alarm: what is between them is worth something only in both columns."
        ],
        limits=LIMITS,
        command=f"fraudsim study drift --out DIR --{result.provenance.size}",
        source=f"fraudsim {result.provenance.versions.fraudsim}, code {result.provenance.code}",
    )


def _blocks(result: DriftResult) -> FalseAlarms:
    return next(row for row in result.false_alarms if row.detector == BlockDetector.name)


def _answer(result: DriftResult) -> list[str]:
    row = _blocks(result)
    causes = ", ".join(f"{name} {count}" for name, count in row.causes.items())
    changes = [change for change in result.detections if change.detector == BlockDetector.name]
    counts = ", ".join(f"{change.scenario} in {change.detected} of {change.worlds}" for change in changes)
    sentences = [
        f"Without a change the weekly detector alarms in {row.alarms} of {row.weeks:,} weeks, a run length "
        f"of {_length(row)} weeks, so the promise of {PROMISED_WEEKS} {_kept(row)}; with one it alarms in "
        f"these numbers of worlds: {counts}.",
        f"Those alarms are in {row.alarming_worlds} of {len(result.seeds)} worlds: {_to_first(row)} weeks to "
        f"a world's first. {row.in_sales} are in the weeks of sales and Christmas."
        + (f" What alarmed: {causes}." if causes else ""),
    ]
    for change in changes:
        weeks = change.median_weeks
        median = "not by half" if weeks is None else f"week {weeks:g} in the median"
        sentences.append(
            f"{change.scenario.capitalize()} ({scenarios(1)[change.scenario].summary}): found in "
            f"{change.detected} of {change.worlds} worlds, {median}."
        )
    return sentences


def _name(row: FalseAlarms | Detection) -> str:
    return NAMES.get(row.detector, row.detector)


def _kept(row: FalseAlarms) -> str:
    """What the interval of the run length says of the promise."""
    if row.run_length_low >= PROMISED_WEEKS:
        return "is kept"
    broken = row.run_length_high is not None and row.run_length_high < PROMISED_WEEKS
    return "is broken" if broken else "is neither shown to be kept nor to be broken"


def _set_up(result: DriftResult) -> str:
    return (
        f"{len(result.seeds)} worlds of {result.cards} cards (seeds {result.seeds[0]} to "
        f"{result.seeds[-1]}), whose first days are spread over the year, each with a model of its own. "
        f"After two weeks for labels and eight of reference, "
        f"{result.quiet_weeks} weeks without a change are tested; a change begins after four tested weeks, "
        f"and is watched for {result.weeks_after}. Every detector sees the same weeks of the fast-forward."
    )


def _length(row: FalseAlarms) -> str:
    return _with_interval(row.run_length, row.run_length_low, row.run_length_high)


def _to_first(row: FalseAlarms) -> str:
    return _with_interval(row.first_alarm_weeks, row.first_alarm_low, row.first_alarm_high)


def _with_interval(weeks: float | None, low: float, high: float | None) -> str:
    if weeks is None:
        return f"more than {low:,.0f}"
    upper = "no bound" if high is None else _weeks(high)
    return f"{_weeks(weeks)} ({_weeks(low)} to {upper})"


def _weeks(weeks: float) -> str:
    return f"{weeks:,.1f}" if weeks < 20 else f"{weeks:,.0f}"


def _false_alarm_table(result: DriftResult) -> StudyTable:
    rows = [
        [
            Cell(_name(row)),
            Cell(f"{row.alarms:,} of {row.weeks:,}"),
            Cell(_length(row)),
            Cell(_to_first(row)),
            Cell(str(row.alarming_worlds)),
            Cell(str(row.in_sales)),
        ]
        for row in result.false_alarms
    ]
    heads = ["detector", "alarms", "run length", "to the first", "worlds", "in sales"]
    note = (
        "Weeks without a change, and with an alarm. Run length: weeks for each alarm, with the 95 % interval "
        "of a Poisson number. To the first: weeks until a world's first alarm, likewise. Worlds: those that "
        "alarm at all. In sales: 24 November to 5 January. Weekly, training: with the vectors of training as "
        "reference."
    )
    return StudyTable("False alarms", note, Grid(heads, rows))


def _detection_table(result: DriftResult) -> StudyTable:
    rows = [
        [
            Cell(row.scenario),
            Cell(_name(row)),
            Cell(f"{row.detected} of {row.worlds}"),
            Cell("-" if row.median_weeks is None else f"{row.median_weeks:g}"),
            Cell("-" if row.longest_weeks is None else str(row.longest_weeks)),
            Cell(str(row.before)),
        ]
        for row in result.detections
    ]
    heads = ["change", "detector", "found in", "median", "longest", "before"]
    note = (
        "Weeks from the change to the end of the first week with an alarm. Before: alarms in the four quiet "
        "weeks of all worlds."
    )
    return StudyTable("Time to detect", note, Grid(heads, rows))


def _detection_figure(result: DriftResult) -> StudyFigure:
    rows: list[Detection] = [row for row in result.detections if row.detector == BlockDetector.name]
    plot = Plot("Time to detect", "Share of worlds with an alarm by weeks after a change.", top=30, right=90)
    weeks = max(len(row.detected_by_week) for row in rows)
    x, y = plot.x_scale(0, weeks), plot.y_scale(0, 1)
    step = 4 if weeks > 8 else 2
    plot.x_axis(x, [(float(week), str(week)) for week in range(0, weeks + 1, step)], "weeks after the change")
    plot.y_axis(y, [(part / 4, f"{25 * part} %") for part in range(5)], "worlds with an alarm")
    for number, (row, colour) in enumerate(zip(rows, PALETTE, strict=False)):
        plot.line(list(range(weeks + 1)), [0.0, *row.detected_by_week], x, y, colour)
        plot.text(plot.width - plot.right + 6, plot.top + 14 + 16 * number, row.scenario, colour=colour)
    curves = [tuple(row.detected_by_week) for row in rows]
    same = [row.scenario for row, curve in zip(rows, curves, strict=True) if curves.count(curve) > 1]
    caption = "Share of worlds in which the weekly detector has alarmed."
    if same:
        caption += f" The lines of {', '.join(same)} lie on one another."
    return StudyFigure("detection", caption, plot.render())


def _run_length_figure(result: DriftResult) -> StudyFigure:
    shown = result.false_alarms
    longest = max([float(PROMISED_WEEKS), *(row.run_length_high or row.run_length_low for row in shown)])
    plot = Plot(
        "Run length", "Weeks without a change for each alarm, with 95 % intervals, logarithmic.",
        width=640, height=66 + ROW * len(shown), left=24 + max(text_px(_name(row)) for row in shown),
    )  # fmt: skip
    x = plot.x_scale(0.9, 1.3 * longest, log=True)
    bottom = plot.height - plot.bottom
    ticks = [(float(10**power), f"{10**power:,}") for power in range(5) if 10**power <= longest]
    plot.x_axis(x, ticks, "weeks for each alarm without a change", lines=True)
    plot.line_between(x(PROMISED_WEEKS), plot.top, x(PROMISED_WEEKS), bottom, INK, 1.5)
    for number, row in enumerate(shown):
        y = plot.top + ROW * (number + 0.5)
        colour = FRAUD if row.detector == BlockDetector.name else HONEST
        plot.text(plot.left - 10, y + 4, _name(row), anchor="end")
        high = row.run_length_high or 1.3 * longest
        plot.line_between(x(row.run_length_low), y, x(high), y, colour, 2)
        if row.run_length is not None:
            plot.dot(x(row.run_length), y, colour, f"{_name(row)}: {_length(row)}")
    caption = (
        f"Run length by detector, with Poisson intervals; the line is the promise of {PROMISED_WEEKS} weeks. "
        "An interval without a dot had no alarm and goes on without bound."
    )
    return StudyFigure("run-length", caption, plot.render())
