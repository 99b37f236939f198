"""The study for people: question, answer, set-up, figures, tables, what it cannot show."""

from typing import Final

from producers.ledger.comparison import Difference
from studies.frame.page import StudyFigure, StudyReport, StudyTable
from studies.frame.study_world import ALERT_SHARE
from studies.freshness.figures import curve_plot, heat_map, minutes_text, net_loss_plot, tempo_text
from studies.freshness.plan import FRESH, NULL
from studies.freshness.result import FreshnessResult, Knee
from studies.report import Cell, Grid, spaced

QUESTION: Final = "What is freshness worth? When does real time beat batch?"
SHORT_MINUTES: Final = 60.0
LONG_MINUTES: Final = 1440.0
LIMITS: Final = (
    "The world is synthetic: how long attacks last, how they hide and how often they come are assumptions.",
    "One kind of model and one policy; a bank's rules on velocity would be a regime of their own.",
    "Honest customers do not try again here after a payment is stopped.",
    "Fraud paid by typology says nothing of insults, which no typology owns: the net loss does.",
)


def report_of(result: FreshnessResult) -> StudyReport:
    """Everything the study says."""
    size = result.provenance.size
    return StudyReport(
        question=QUESTION,
        answer=answer(result),
        set_up=set_up(result),
        figures=figures_of(result),
        tables=tables(result),
        controls=controls_text(result),
        limits=LIMITS,
        surprises=surprises(result),
        command=f"fraudsim study freshness --out DIR --{size}",
        source=f"fraudsim {result.provenance.versions.fraudsim}, code {result.provenance.code}",
    )


def answer(result: FreshnessResult) -> list[str]:
    """The answer in sentences, made of the figures."""
    matters = [knee for knee in result.knees if knee.verdict == "real time matters"]
    groups = (
        ("Real time matters for", [knee for knee in matters if knee.holds]),
        ("It seems to for", [knee for knee in matters if not knee.holds]),
        ("Batch is as good for", [knee for knee in result.knees if knee.verdict == "batch is as good"]),
    )
    sentences = [*_losses(result), *(f"{words} {_named(knees)}." for words, knees in groups if knees)]
    untold = sum(knee.verdict == "not told apart" for knee in result.knees)
    few = sum(knee.verdict == "too few campaigns" for knee in result.knees)
    sentences.append(
        f"Of {len(result.knees)} pairs of typology and tempo, {untold} are not told apart from fresh "
        f"features by {len(result.seeds)} worlds, and {few} have too few campaigns to say anything."
    )
    return sentences


def _losses(result: FreshnessResult) -> list[str]:
    """By tempo, what the freshest and the stalest job cost against real time."""
    jobs = sorted(result.staleness_minutes, key=result.staleness_minutes.__getitem__)
    cells = {(cell.arm, cell.tempo): cell for cell in result.arms}
    return [
        f"With {tempo_text(tempo)}, a {jobs[0]} instead of real time changes the net loss of "
        f"{cells[FRESH, tempo].net_loss / 100:,.0f} per 1,000 cards and week by "
        f"{_short(cells[jobs[0], tempo].against_fresh)}, a {jobs[-1]} by "
        f"{_short(cells[jobs[-1], tempo].against_fresh)}."
        for tempo in result.tempos
    ]


def surprises(result: FreshnessResult) -> list[str]:
    """What one would not expect: short attacks that lose nothing by staleness, long ones that do."""
    stalest = max(result.staleness_minutes, key=result.staleness_minutes.__getitem__)
    cells = {(c.typology, c.tempo): c for c in result.typologies if c.arm == stalest and not c.hatched}
    short, long = [], []
    for knee in result.knees:
        cell = cells.get((knee.typology, knee.tempo))
        if cell is None or not cell.duration_minutes:
            continue
        matters = knee.verdict == "real time matters"
        text = (
            f"{spaced(cell.typology)} at tempo {cell.tempo:g} ({minutes_text(cell.duration_minutes)}, "
            f"{_points(cell.lost)} points)"
        )
        if cell.duration_minutes <= SHORT_MINUTES and not matters:
            short.append(text)
        elif cell.duration_minutes >= LONG_MINUTES and matters:
            long.append(text)
    lines = []
    if short:
        lines.append(
            f"Attacks of under {minutes_text(SHORT_MINUTES)} of which no loss is told: {', '.join(short)}."
        )
    if long:
        lines.append(
            f"Attacks of over {minutes_text(LONG_MINUTES)} that lose by staleness: {', '.join(long)}."
        )
    flagged = [cell.alert_share for cell in result.arms if cell.arm == FRESH]
    lines.append(
        f"A model may flag {100 * ALERT_SHARE:g} % of the traffic; with real time {min(flagged):.1f} to "
        f"{max(flagged):.1f} % is flagged, rules and blocks included: the budget hides no difference."
        if max(flagged) < 100 * ALERT_SHARE
        else f"A model may flag {100 * ALERT_SHARE:g} % of the traffic; with real time up to "
        f"{max(flagged):.1f} % is flagged, rules and blocks included: better scores change what is flagged."
    )
    return lines


def _named(knees: list[Knee]) -> str:
    texts = []
    for name in sorted({knee.typology for knee in knees}):
        tempos = [
            f"{knee.tempo:g}"
            + (f": half of the loss at {minutes_text(knee.minutes)}" if knee.minutes else "")
            for knee in knees
            if knee.typology == name
        ]
        texts.append(f"{spaced(name)} (tempo {'; '.join(tempos)})")
    return ", ".join(texts)


def tables(result: FreshnessResult) -> list[StudyTable]:
    """Tables of regimes and of knees; each fits 80 columns."""
    regimes = Grid(
        ["tempo", "regime", "net loss", "against real time", "insults", "hours", "alerts"],
        [
            [
                Cell(f"{cell.tempo:g}"),
                Cell(cell.arm),
                Cell(f"{cell.net_loss / 100:,.0f}"),
                Cell("" if cell.arm == FRESH else _short(cell.against_fresh)),
                Cell(f"{cell.insults_a_week:,.0f}"),
                Cell(f"{cell.analyst_hours_a_week:.1f}"),
                Cell(f"{cell.alert_share:.1f}%"),
            ]
            for cell in result.arms
        ],
    )
    by_key = {(cell.typology, cell.tempo, cell.arm): cell for cell in result.typologies}
    stalest = max(result.staleness_minutes, key=result.staleness_minutes.__getitem__)
    rows = []
    for knee in result.knees:
        fresh, last = (by_key.get((knee.typology, knee.tempo, arm)) for arm in (FRESH, stalest))
        if fresh is None:
            continue
        rows.append(
            [
                Cell(spaced(knee.typology)),
                Cell(f"{knee.tempo:g}"),
                Cell(str(fresh.campaigns)),
                Cell(minutes_text(fresh.duration_minutes)),
                Cell(f"{fresh.first_caught_share:.0f}%"),
                Cell("" if last is None else _points(last.lost)),
                Cell(_verdict_text(knee)),
            ]
        )
    typologies = Grid(
        [
            "typology",
            "tempo",
            "cases",
            "lasts",
            "first",
            f"lost, {stalest.removeprefix('job every ')}",
            "verdict",
        ],
        rows,
    )
    return [
        StudyTable(
            "Regimes", "Money per 1,000 cards and week; insults and analysts' hours a week; alerts.", regimes
        ),
        StudyTable(
            "Typologies",
            f"By tempo: campaigns, how long they last, their share that is stopped at the first payment, "
            f"points of the money they planned that a {stalest} loses against real time, and where "
            "half of that is reached. A verdict with a question mark does not hold among them all.",
            typologies,
        ),
    ]


def _short(difference: Difference) -> str:
    mean, low, high = difference.mean, difference.low, difference.high
    text = f"{mean / 100:+,.0f}"
    return text if low is None or high is None else f"{text} ({low / 100:+,.0f} to {high / 100:+,.0f})"


def _points(difference: Difference) -> str:
    mean, low, high = difference.mean, difference.low, difference.high
    return f"{mean:+.0f}" if low is None or high is None else f"{mean:+.0f} ({low:+.0f} to {high:+.0f})"


def _verdict_text(knee: Knee) -> str:
    doubt = "?" if knee.verdict == "real time matters" and not knee.holds else ""
    return knee.verdict + doubt + (f" ({minutes_text(knee.minutes)})" if knee.minutes else "")


def set_up(result: FreshnessResult) -> str:
    """The set-up in words."""
    return (
        f"{len(result.seeds)} worlds at each tempo, of {result.cards:,} cards, "
        f"{result.history_days} days of history and {result.days} days that are decided, with "
        f"{result.fraud_scale:g} times the usual fraud. All regimes see the same world: a decline, "
        "a block or a campaign's reaction changes what comes next in each of them. In every world every "
        "regime has a model of its own, trained on the history with features as it serves them; all may "
        "flag the same share of the traffic there. Money is that of the ledger: fraud paid, insults, "
        "friction and reviews. A job starts every period and takes no time, so its features are 0 to one "
        "period old. The unit of all intervals is the world (seed), differences are paired, intervals are "
        "95 % one at a time; which verdicts by typology hold among all of them is Holm's method's to say."
    )


def controls_text(result: FreshnessResult) -> list[str]:
    """What the study finds where the answer is known."""
    lines = []
    for control in result.controls:
        where = "Mean of all tempos" if control.condition == "all" else f"Tempo {control.condition}"
        verdict = "told apart, wrongly" if control.null_told else "no effect"
        line = (
            f"{where}: two fits of real time differ by {control.null.text}, {verdict}; with "
            f"{100 * control.planted_share:g} % of the net loss ({control.planted / 100:+,.2f}) added to one "
            f"of them, {control.observed.text}: {'found' if control.planted_told else 'not found'}."
        )
        if control.detectable is not None and control.detectable_share is not None:
            line += (
                f" Four of five such studies would find {control.detectable / 100:,.0f}, "
                f"{100 * control.detectable_share:.0f} % of the net loss."
            )
        lines.append(line)
    lines += [
        f"Tempo {item.tempo:g}: a job every {item.period} costs {item.lost.text} against real time, and "
        f"{item.difference.text} against constant delays of the same distribution."
        for item in result.sawtooth
    ]
    return lines


def figures_of(result: FreshnessResult) -> list[StudyFigure]:
    """Net loss and heat map by tempo, and the curves."""
    figures = []
    for tempo in result.tempos:
        plot = net_loss_plot([cell for cell in result.arms if cell.arm != NULL], tempo, FRESH)
        caption = f"Net loss against real time, {tempo_text(tempo)}; currency units per 1,000 cards and week."
        figures.append(StudyFigure(f"net-loss-{tempo:g}", caption, plot.render()))
        plot = heat_map(result.typologies, result.staleness_minutes, tempo)
        caption = (
            f"Points of the money that campaigns planned, paid beyond real time; {tempo_text(tempo)}; "
            "columns are the periods of the job. Hatched cells have fewer than 30 campaigns."
        )
        figures.append(StudyFigure(f"heat-map-{tempo:g}", caption, plot.render()))
    for over, curve in (
        ("attack's duration", result.over_duration),
        ("time between attempts", result.over_gap),
    ):
        plot = curve_plot(result.typologies, result.staleness_minutes, curve, over)
        caption = f"One rising curve explains {100 * curve.spread:.0f} % of the variance between the cells."
        figures.append(
            StudyFigure(f"curve-{over.split()[0].removesuffix(chr(39) + 's')}", caption, plot.render())
        )
    return figures
