"""The page of a history: plots and tables in one self-contained HTML file."""

from html import escape
from pathlib import Path

from fraudsim.drawing.pages import figure, html_page
from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from producers.history.manifest import HistoryManifest
from producers.history.reader import History
from producers.page import fraud_plots, time_plots
from producers.page.aggregates import Aggregates, aggregate
from producers.page.reference_rates import MEASURES, PUBLISHED_RATES, Measure


def write_page(history: History, path: Path) -> None:
    """Write the page of a history to an HTML file.

    Raises:
        FraudsimError: the history cannot be read, or the file cannot be written.
    """
    text = page(history.manifest, aggregate(history))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise FraudsimError(f"page {error.filename or path}: {error.strerror or error}") from None


def page(manifest: HistoryManifest, aggregates: Aggregates) -> str:
    """The page as text."""
    title = f"{manifest.source.capitalize()}: {manifest.cards:,} cards, {manifest.days:,} days"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">seed {manifest.seed}, version {manifest.version}, fingerprint '
        f"<code>{escape(manifest.fingerprint[:16])}</code></p>",
        _facts(manifest, aggregates),
        _volumes(aggregates),
        _times(aggregates),
        _amounts(aggregates),
        _typologies(aggregates),
        _campaigns(aggregates),
        _labels(aggregates),
        _base_rates(manifest, aggregates),
    ]
    return html_page(title, body)


def _facts(manifest: HistoryManifest, aggregates: Aggregates) -> str:
    total = aggregates.honest.number + aggregates.fraud.number
    unit = aggregates.currency or "units"
    facts = (
        ("transactions", f"{total:,}"),
        ("a day", f"{manifest.transactions_per_day:,.0f}"),
        ("value", f"{(aggregates.honest.cents + aggregates.fraud.cents) / 1e8:,.1f} m {unit}"),
        ("frauds", f"{aggregates.fraud.number:,}"),
        ("fraud, of number", f"{100 * aggregates.fraud.number / max(total, 1):.3f} %"),
        ("labels", f"{manifest.labels:,}"),
    )
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{cells}</dl>'


def _volumes(aggregates: Aggregates) -> str:
    return "<h2>Day by day</h2>" + "".join(
        figure(svg, wide=True)
        for svg in (time_plots.draw_daily_transactions(aggregates), time_plots.draw_daily_fraud(aggregates))
    )


def _times(aggregates: Aggregates) -> str:
    parts = ["<h2>Hours and weekdays</h2>"]
    if aggregates.local_hours is not None:
        parts.append(
            "<p>Times are UTC. Where the card was present, the merchant's longitude gives the local hour; "
            "for the rest nothing says where the payer was.</p>"
        )
    else:
        parts.append("<p>Times are UTC: this history says nowhere where a payment was made.</p>")
    svgs = []
    if aggregates.local_hours is not None:
        axis = "hour at the merchant's longitude (hours = longitude ÷ 15°)"
        svgs.append(time_plots.draw_hours(aggregates.local_hours, "card-present", axis))
    if aggregates.trade_hours:
        svgs.append(time_plots.draw_trade_hours(aggregates.trade_hours, "hour at the merchant's longitude"))
    if aggregates.remote_hours.any():
        axis = "hour (UTC), cards of every time zone together"
        svgs.append(time_plots.draw_hours(aggregates.remote_hours, "card-not-present", axis))
    svgs += [time_plots.draw_class_hours(aggregates), time_plots.draw_weekdays(aggregates)]
    if len(aggregates.honest.per_day) > time_plots.LONG_DAYS:
        svgs.append(time_plots.draw_month_days(aggregates))
    return "".join(parts) + f'<div class="two">{"".join(figure(svg) for svg in svgs)}</div>'


def _amounts(aggregates: Aggregates) -> str:
    unit = aggregates.currency or "units"
    caption = (
        f"Median {aggregates.honest.median_cents / 100:,.2f} {unit} honest, "
        f"{aggregates.fraud.median_cents / 100:,.2f} {unit} fraud; "
        f"mean {_mean(aggregates.honest.cents, aggregates.honest.number):,.2f} and "
        f"{_mean(aggregates.fraud.cents, aggregates.fraud.number):,.2f}."
    )
    return f"<h2>Amounts</h2>{figure(fraud_plots.draw_amounts(aggregates), caption, wide=True)}"


def _typologies(aggregates: Aggregates) -> str:
    if not aggregates.typologies:
        return ""
    total = aggregates.honest.number + aggregates.fraud.number
    small = "".join(
        figure(fraud_plots.draw_typology_timeline(t, aggregates.start_ms)) for t in aggregates.typologies
    )
    return (
        "<h2>Fraud by typology</h2>"
        + figure(fraud_plots.draw_typology_shares(aggregates.typologies, total), wide=True)
        + "<p>Frauds per day of each typology; every picture has its own scale.</p>"
        + f'<div class="four">{small}</div>'
    )


def _campaigns(aggregates: Aggregates) -> str:
    examples = [(t.name, t.example) for t in aggregates.typologies if t.example is not None]
    if not examples:
        return ""
    figures = "".join(
        figure(
            fraud_plots.draw_campaign(name, example, aggregates.currency),
            fraud_plots.campaign_caption(example),
        )
        for name, example in examples
    )
    return (
        "<h2>One campaign of each typology</h2>"
        "<p>Time against amount; each card has one colour (seven colours, used again where there are more "
        "cards). Chosen by size, three in four being no larger; the start and the end of the history cut "
        "some of the long ones.</p>"
        f'<div class="three">{figures}</div>'
    )


def _labels(aggregates: Aggregates) -> str:
    return (
        "<h2>How late fraud comes to be known</h2>"
        "<p>Of all frauds, the share that has a label saying fraud, by time since the transaction. "
        "Labels that come after the end of the history count too.</p>"
        + figure(fraud_plots.draw_label_arrivals(aggregates), wide=True)
    )


def _base_rates(manifest: HistoryManifest, aggregates: Aggregates) -> str:
    own = base_rates(aggregates)
    rows = []
    for measure, title in MEASURES.items():
        published = [rate for rate in PUBLISHED_RATES if rate.measure == measure]
        for i, rate in enumerate(published):
            head = ""
            if i == 0:
                head = (
                    f'<th scope="rowgroup" rowspan="{len(published)}">{escape(title)}</th>'
                    f'<td class="number" rowspan="{len(published)}">{escape(own[measure])}</td>'
                )
            rows.append(
                f'<tr>{head}<td class="number">{escape(rate.value)}</td><td>{escape(rate.of)}</td>'
                f"<td>{escape(rate.source)}</td></tr>"
            )
    scale_note = (
        "<p>The default world has more fraud than the cards of a whole region, so that a history of a "
        "laptop's size holds enough of every typology to learn from and to measure on; "
        "<code>fraud_scale</code> sets it.</p>"
    )
    return (
        f"<h2>Base rates beside published ones</h2>{scale_note if manifest.source == 'world' else ''}"
        '<div class="wide"><table><thead><tr><th scope="col">measure</th><th scope="col">this history</th>'
        '<th scope="col">published</th><th scope="col">of what</th><th scope="col">where</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def base_rates(aggregates: Aggregates) -> dict[Measure, str]:
    """This history's own value of each published measure, with its unit."""
    honest, fraud = aggregates.honest, aggregates.fraud
    number, cents = honest.number + fraud.number, honest.cents + fraud.cents
    return {
        "fraud_of_number": f"{100 * fraud.number / max(number, 1):.3f} %",
        "fraud_of_value": f"{100 * fraud.cents / max(cents, 1):.3f} %",
        "remote_of_fraud_number": f"{100 * fraud.remote / max(fraud.number, 1):.0f} %",
        "remote_of_fraud_value": f"{100 * fraud.remote_cents / max(fraud.cents, 1):.0f} %",
        "remote_of_number": f"{100 * (honest.remote + fraud.remote) / max(number, 1):.0f} %",
        "mean_amount": f"{_mean(cents, number):,.2f} {aggregates.currency or 'units'}",
        "per_card_day": f"{number / max(aggregates.cards * len(honest.per_day), 1):.2f}",
    }


def _mean(cents: int, number: int) -> float:
    return cents / max(number, 1) / 100
