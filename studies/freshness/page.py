"""The study as a page: question, answer, set-up, figures, tables, what it cannot show, the command."""

from collections.abc import Sequence
from html import escape
from typing import Final

from fraudsim.drawing.themes import DARK, DARK_STYLE, GRID, INK, PAPER, QUIET
from studies.freshness.figures import curve_plot, heat_map, minutes_text, net_loss_plot, tempo_text
from studies.freshness.plan import FRESH, NULL
from studies.freshness.study import FreshnessResult
from studies.report import Cell, Grid, Page, spaced

QUESTION: Final = "What is freshness worth? When does real time beat batch?"
_VARIABLES: Final = {"paper": PAPER, "ink": INK, "quiet": QUIET, "grid": GRID}
_STYLE: Final = (
    ":root { color-scheme: light dark; "
    + " ".join(f"--{name}: {colour};" for name, colour in _VARIABLES.items())
    + " } @media (prefers-color-scheme: dark) { :root { "
    + " ".join(f"--{name}: {DARK[colour]};" for name, colour in _VARIABLES.items())
    + " } }\n"
    + DARK_STYLE
    + """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 900px; padding: 28px 20px 60px; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 27px; line-height: 1.25; } h2 { font-size: 20px; margin: 36px 0 6px; }
p, li { max-width: 70ch; } .answer { font-size: 18px; }
.quiet, figcaption { color: var(--quiet); font-size: 14px; }
figure { margin: 14px 0; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 560px; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; min-width: 560px; width: 100%; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--grid);
  vertical-align: top; }
td { font-variant-numeric: tabular-nums; } pre { overflow-x: auto; }
"""
)


def answer(result: FreshnessResult) -> list[str]:
    """The answer in sentences, made of the figures."""
    sentences = []
    for verdict, words in (
        ("real time matters", "Real time matters for"),
        ("batch is as good", "Batch is as good for"),
    ):
        entries = []
        for knee in result.knees:
            if knee.verdict == verdict:
                text = f"{spaced(knee.typology)} (tempo {knee.tempo:g}"
                text += f": half of the loss at {minutes_text(knee.minutes)})" if knee.minutes else ")"
                entries.append(text)
        if entries:
            sentences.append(f"{words} {', '.join(entries)}.")
    untold = sum(knee.verdict == "not told apart" for knee in result.knees)
    few = sum(knee.verdict == "too few campaigns" for knee in result.knees)
    sentences.append(
        f"Of {len(result.knees)} pairs of typology and tempo, {untold} are not told apart from fresh "
        f"features by {len(result.seeds)} worlds, and {few} have too few campaigns to say anything."
    )
    stalest = max(result.staleness_minutes, key=result.staleness_minutes.__getitem__)
    for cell in result.arms:
        if cell.arm == stalest:
            fresh = next(c for c in result.arms if c.arm == FRESH and c.tempo == cell.tempo)
            sentences.append(
                f"With {tempo_text(cell.tempo)}, a {stalest} instead of real time changes the net loss of "
                f"{fresh.net_loss / 100:,.0f} per 1,000 cards and week by {cell.against_fresh.text}."
            )
    return sentences


def tables(result: FreshnessResult) -> list[tuple[str, Grid]]:
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
                Cell(knee.verdict + (f" ({minutes_text(knee.minutes)})" if knee.minutes else "")),
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
    return [("Regimes", regimes), ("Typologies", typologies)]


def _short(difference: object) -> str:
    mean, low, high = (getattr(difference, name) for name in ("mean", "low", "high"))
    text = f"{mean / 100:+,.0f}"
    return text if low is None else f"{text} ({low / 100:+,.0f} to {high / 100:+,.0f})"


def _points(difference: object) -> str:
    mean, low, high = (getattr(difference, name) for name in ("mean", "low", "high"))
    return f"{mean:+.0f}" if low is None else f"{mean:+.0f} ({low:+.0f} to {high:+.0f})"


def terminal_pages(result: FreshnessResult) -> list[Page]:
    """The study on a terminal."""
    (first, regimes), (second, typologies) = tables(result)
    text = " ".join(answer(result))
    return [
        Page(QUESTION, text, regimes),
        Page(second, f"{first} above; lost: points of the money at stake.", typologies),
    ]


def set_up(result: FreshnessResult) -> str:
    """The set-up in words."""
    return (
        f"{len(result.seeds)} worlds at each tempo, of {result.cards:,} cards, "
        f"{result.history_days} days of history and {result.days} days that are decided, with "
        f"{result.fraud_scale:g} times the usual fraud. All regimes see the same world: a decline, "
        "a block or a campaign's reaction changes what comes next in each of them. Every regime "
        "has a model of its own, trained on features as it serves them, in a world that is not "
        "measured, and may flag the same share of the traffic there. Money is that of the ledger: "
        "fraud paid, insults, friction and reviews. A job starts every period and takes no time, "
        "so its features are 0 to one period old. The unit of all intervals is the world (seed), "
        "differences are paired, intervals are 95 % one at a time: with this many cells, one in "
        "twenty of those without an effect would show one by chance."
    )


LIMITS: Final = (
    "The world is synthetic: how long attacks last, how they hide and how often they come are assumptions.",
    "One model and one policy; a bank's rules on velocity would be a regime of their own.",
    "Honest customers do not try again here after a payment is stopped.",
    "All models of a tempo are fitted once, on one world: the intervals hold for these models.",
    "Fraud paid by typology says nothing of insults, which no typology owns: the net loss does.",
)


def controls_text(result: FreshnessResult) -> list[str]:
    """What the study finds where the answer is known."""
    lines = []
    for control in result.controls:
        lines.append(
            f"Tempo {control.tempo:g}: two fits of real time differ by {control.null.text} (no effect "
            f"expected); with {control.planted / 100:+,.2f} added to one of them, {control.observed.text}."
        )
    lines += [
        f"Tempo {item.tempo:g}: a job every {item.period} costs {item.difference.text} against constant "
        "delays of the same distribution."
        for item in result.sawtooth
    ]
    return lines


def html(result: FreshnessResult, figures: Sequence[tuple[str, str]]) -> str:
    """The page; `figures` are captions and SVG elements."""
    command = f"fraudsim study freshness --out DIR --{result.plan}"
    body = [
        f"<h1>{escape(QUESTION)}</h1>",
        *(f'<p class="answer">{escape(text)}</p>' for text in answer(result)),
        f"<h2>Set-up</h2><p>{escape(set_up(result))}</p>",
        "<h2>Figures</h2>",
        *(f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for caption, svg in figures),
        *(f'<h2>{escape(name)}</h2><div class="wide">{_table(grid)}</div>' for name, grid in tables(result)),
        "<h2>Where the answer is known</h2><ul>",
        *(f"<li>{escape(text)}</li>" for text in controls_text(result)),
        "</ul><h2>What it cannot show</h2><ul>",
        *(f"<li>{escape(text)}</li>" for text in LIMITS),
        f"</ul><h2>Repeat it</h2><pre><code>{escape(command)}</code></pre>",
        f'<p class="quiet">fraudsim {escape(result.versions.fraudsim)}, code {escape(result.code)}</p>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(QUESTION)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _table(grid: Grid) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in grid.heads)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell.text)}</td>" for cell in row) + "</tr>" for row in grid.rows
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def figures_of(result: FreshnessResult) -> list[tuple[str, str, str]]:
    """File name, caption and SVG element of every figure."""
    figures = []
    for tempo in result.tempos:
        plot = net_loss_plot([cell for cell in result.arms if cell.arm != NULL], tempo, FRESH)
        caption = f"Net loss against real time, {tempo_text(tempo)}; currency units per 1,000 cards and week."
        figures.append((f"net-loss-{tempo:g}", caption, plot.render()))
        plot = heat_map(result.typologies, result.staleness_minutes, tempo)
        caption = (
            f"Points of the money at stake that are paid beyond real time, {tempo_text(tempo)}; columns are "
            "the periods of the job. Hatched cells have fewer than 30 campaigns."
        )
        figures.append((f"heat-map-{tempo:g}", caption, plot.render()))
    for over, curve in (
        ("attack's duration", result.over_duration),
        ("time between attempts", result.over_gap),
    ):
        plot = curve_plot(result.typologies, result.staleness_minutes, curve, over)
        caption = f"One rising curve explains {100 * curve.spread:.0f} % of the variance between the cells."
        figures.append((f"curve-{over.split()[0].removesuffix(chr(39) + 's')}", caption, plot.render()))
    return figures
