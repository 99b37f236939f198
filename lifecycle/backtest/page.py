"""A backtest as a page, and as lines on a terminal."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from fraudsim.drawing.pages import html_page
from lifecycle.backtest.result import BacktestResult, TwinFigures
from lifecycle.backtest.typologies import TypologyComparison

PAGE_FILE: Final = "index.html"
RESULT_FILE: Final = "backtest.json"


def summary_lines(result: BacktestResult) -> Iterator[str]:
    """The verdict and what it rests on."""
    yield f"A {result.a}, B {result.b}: {result.method} over {result.weeks:.1f} weeks of {result.source}"
    yield f"truth {result.truth}"
    estimated = result.off_policy
    if estimated is not None:
        yield (
            f"effective sample {estimated.effective_sample:,.1f}: of {estimated.differing:,} that differ "
            f"{estimated.labelled:,} have a label, {estimated.explored:,} by exploration; "
            f"{estimated.unsupported:,} could never have one"
        )
    difference = result.difference
    yield (
        f"net loss of A {result.loss_of_a / 100:,.2f} per 1,000 cards and week; B less A {difference.text}; "
        f"{difference.cards_that_differ:,} of {difference.cards:,} cards differ"
    )
    if result.twin is not None:
        yield f"insults: A {result.twin.insults_of_a:,}, B {result.twin.insults_of_b:,}"
        yield from (f"  {line}" for line in _typologies_told(result.twin))
    yield f"{result.verdict} (margin {result.margin:.0%} of A's net loss; exit code {result.gate})"


def _typologies_told(twin: TwinFigures) -> Iterator[str]:
    """The typologies of which more or less was paid for certain, one at a time."""
    for item in twin.typologies:
        if item.paid is not None and item.paid.low * item.paid.high > 0:
            yield f"{item.name.replace('_', ' ')}: fraud paid {item.paid.text}"


def page(result: BacktestResult) -> str:
    """The page; it stands alone."""
    body = [
        "<h1>Backtest: B against A</h1>",
        *(f"<p>{escape(line)}</p>" for line in summary_lines(result)),
        "<h2>Week by week</h2>",
        _table(
            ("week", "A", "B", "B less A, 95 %", "insults of A", "insults of B"),
            [
                (
                    str(number), f"{fold.loss_of_a / 100:,.2f}", f"{fold.loss_of_b / 100:,.2f}",
                    fold.difference.text, _count(fold.insults_of_a), _count(fold.insults_of_b),
                )
                for number, fold in enumerate(result.folds, 1)
            ],
        ),
        *_twin_parts(result),
        "<h2>Decisions that differ most</h2>",
        f"<p>{result.differing:,} decisions have another action.</p>",
        _table(
            ("transaction", "amount", "channel", "truth", "A", "B", "cost A", "cost B"),
            [
                (
                    item.tx_id, f"{item.amount_cents / 100:,.2f}", item.channel or "", item.truth,
                    f"{item.action_of_a} ({item.score_of_a:.4f})",
                    f"{item.action_of_b} ({item.score_of_b:.4f})",
                    f"{item.cents_of_a / 100:,.2f}", f"{item.cents_of_b / 100:,.2f}",
                )
                for item in result.examples
            ],
        ),
        "<h2>What this cannot know</h2>",
        "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in result.cannot_know) + "</ul>",
        "<p class='quiet'>Net loss: fraud paid, insults, friction, reviews, per 1,000 cards and week.</p>",
    ]  # fmt: skip
    return html_page("Backtest", body)


def _count(value: int) -> str:
    return "not seen" if value < 0 else f"{value:,}"


def _twin_parts(result: BacktestResult) -> list[str]:
    twin = result.twin
    if twin is None:
        return []
    kinds = [
        (kind, f"{twin.kinds_of_a[kind] / 100:,.2f}", f"{twin.kinds_of_b[kind] / 100:,.2f}")
        for kind in twin.kinds_of_a
    ]
    return [
        "<h2>By kind of cost</h2>", _table(("per 1,000 cards and week", "A", "B"), kinds),
        "<h2>Detection by typology</h2>",
        "<p>Differences are B less A, 95 %, paired by card, one at a time; none where fewer than 20 cards "
        "were struck. Fraud paid is per 1,000 cards and week.</p>",
        _table(
            ("typology", "cards", "A flagged", "B flagged", "flagged, B less A", "fraud paid, B less A"),
            [_typology_row(item) for item in twin.typologies],
        ),
    ]  # fmt: skip


def _typology_row(item: TypologyComparison) -> tuple[str, ...]:
    return (
        item.name.replace("_", " "),
        f"{item.cards:,}",
        f"{item.flagged_of_a:,} of {item.frauds_of_a:,}",
        f"{item.flagged_of_b:,} of {item.frauds_of_b:,}",
        "too few" if item.flagged is None else item.flagged.text,
        "too few" if item.paid is None else item.paid.text,
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
