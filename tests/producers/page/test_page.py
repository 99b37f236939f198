"""What a history holds, on one page: the counts are right and the page needs nothing but itself."""

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraudsim.drawing.themes import DARK
from fraudsim.errors import FraudsimError
from producers.calendar.opening_hours import CATEGORY_HOURS
from producers.calendar.pay_days import PAY_DAY_LIFT, PAY_DAY_LIFT_DAYS, PAY_DAYS
from producers.calendar.seasons import (
    CATEGORY_SEASON,
    CHRISTMAS_FACTOR,
    HOLIDAY_FACTORS,
    MONTHLY_FACTORS,
    SALES_FACTOR,
)
from producers.history.reader import History, read_history
from producers.history.writer import write_history
from producers.page import time_plots
from producers.page.aggregates import AMOUNT_EDGES, DELAY_DAYS, Aggregates, aggregate
from producers.page.page import base_rates, page, write_page
from producers.page.reference_rates import MEASURES, PUBLISHED_RATES
from producers.reference import CATEGORIES
from producers.typologies import TYPOLOGY_CLASSES
from producers.world.config import WorldConfig
from producers.world.world import World
from producers.world_cli import app

DAYS = 35


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    directory = tmp_path_factory.mktemp("history")
    write_history(directory, World(WorldConfig(cards=400, fraud_scale=10)), DAYS)
    return read_history(directory)


@pytest.fixture(scope="module")
def aggregates(history: History) -> Aggregates:
    return aggregate(history)


@pytest.fixture(scope="module")
def html(history: History, aggregates: Aggregates) -> str:
    return page(history.manifest, aggregates)


def drawings(html: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", html, re.DOTALL)]


def named(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return element.findall(f".//{{http://www.w3.org/2000/svg}}{tag}")


def test_the_counts_are_those_of_the_history(history: History, aggregates: Aggregates) -> None:
    rows = history.transactions(["ts", "amount_cents", "channel", "lon", "mcc"]).to_pylist()
    fraud = history.truth()["is_fraud"].to_pylist()
    for part, is_fraud in ((aggregates.honest, False), (aggregates.fraud, True)):
        rows_of_class = [
            row for row, row_is_fraud in zip(rows, fraud, strict=True) if row_is_fraud == is_fraud
        ]
        assert (
            part.number == len(rows_of_class) == part.per_day.sum() == part.hours.sum() == part.amounts.sum()
        )
        assert part.cents == sum(row["amount_cents"] for row in rows_of_class)
        remote = [row for row in rows_of_class if row["channel"] in ("ecommerce", "moto", "recurring")]
        assert (part.remote, part.remote_cents) == (
            len(remote),
            sum(row["amount_cents"] for row in remote),
        )
        assert part.median_cents == np.median([row["amount_cents"] for row in rows_of_class])
        assert part.hours[13] == sum(row["ts"] // 3_600_000 % 24 == 13 for row in rows_of_class)
        low, high = AMOUNT_EDGES[40], AMOUNT_EDGES[41]
        assert part.amounts[40] == sum(low <= row["amount_cents"] < high for row in rows_of_class)
    placed = [row for row in rows if row["lon"] is not None]
    assert aggregates.local_hours is not None
    hours = [(row["ts"] // 3_600_000 + round(row["lon"] / 15)) % 24 for row in placed]
    assert aggregates.local_hours[18] == hours.count(18)
    groceries = [hour for row, hour in zip(placed, hours, strict=True) if row["mcc"] == 5411]
    assert aggregates.trade_hours["groceries"].tolist() == [groceries.count(hour) for hour in range(24)]


def test_a_long_history_shows_its_seasons_through_the_weekdays(
    history: History, aggregates: Aggregates
) -> None:
    def lines(aggregates: Aggregates) -> list[ElementTree.Element]:
        return named(ElementTree.fromstring(time_plots.draw_daily_transactions(aggregates)), "polyline")

    honest = replace(aggregates.honest, per_day=np.tile(aggregates.honest.per_day, 3))
    fraud = replace(aggregates.fraud, per_day=np.tile(aggregates.fraud.per_day, 3))
    long = replace(aggregates, honest=honest, fraud=fraud)
    assert not lines(aggregates)
    assert len(lines(long)) == 1
    assert (
        len(drawings(page(history.manifest, long))) == len(drawings(page(history.manifest, aggregates))) + 1
    )
    assert len(named(ElementTree.fromstring(time_plots.draw_month_days(long)), "rect")) == 31


def test_weekdays_are_means_of_such_days(aggregates: Aggregates) -> None:
    # The history starts on a Monday and has five of each weekday.
    assert aggregates.honest.weekdays * 5 == pytest.approx(
        aggregates.honest.per_day.reshape(5, 7).sum(axis=0), rel=1e-12
    )


def test_typologies_and_their_campaigns_are_those_of_the_truth(
    history: History, aggregates: Aggregates
) -> None:
    truth = [row for row in history.truth().to_pylist() if row["is_fraud"]]
    assert {t.name for t in aggregates.typologies} == {row["typology"] for row in truth}
    for counts in aggregates.typologies:
        rows_of_class = [row for row in truth if row["typology"] == counts.name]
        assert counts.frauds == len(rows_of_class) == counts.per_day.sum()
        assert counts.campaigns == len({row["campaign_id"] for row in rows_of_class})
        assert counts.example is not None
        assert len(counts.example.ts) == sum(
            row["campaign_id"] == counts.example.campaign_id for row in rows_of_class
        )
        assert counts.example.card[0] == 0


def test_label_curves_rise_to_what_is_ever_known(history: History, aggregates: Aggregates) -> None:
    frauds = {row["tx_id"] for row in history.truth().to_pylist() if row["is_fraud"]}
    labels = [row for row in history.labels().to_pylist() if row["is_fraud"] and row["tx_id"] in frauds]
    labelled = {row["tx_id"] for row in labels}
    early = {row["tx_id"] for row in labels if row["known_at"] - row["ts"] <= DELAY_DAYS[60] * 86_400_000}
    assert aggregates.arrivals["any"][-1] == pytest.approx(len(labelled) / len(frauds))
    assert aggregates.arrivals["any"][60] == pytest.approx(len(early) / len(frauds))
    for curve in aggregates.arrivals.values():
        assert (np.diff(curve) >= 0).all()
        assert (curve <= aggregates.arrivals["any"] + 1e-12).all()


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    assert "<script" not in html
    assert "<link" not in html
    assert not re.findall(r"\b(?:src|href|@import|url)\b\s*[=(]", html)
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) == {"http://www.w3.org/2000/svg"}


def test_the_page_is_a_function_of_the_history(history: History, html: str) -> None:
    assert page(history.manifest, aggregate(history)) == html


def test_each_colour_of_the_page_has_a_dark_one(html: str) -> None:
    body = html.split("<main>")[1]
    colours = set(re.findall(r"#[0-9a-f]{6}|#[0-9a-f]{3}\b", body))
    assert len(colours) > 5
    assert colours <= set(DARK)
    style = html.split("<style>")[1].split("</style>")[0]
    assert "@media (prefers-color-scheme: dark) { :root { --paper:" in style
    for colour in colours:
        assert f'[fill="{colour}"]{{fill:{DARK[colour]}}}' in style


def test_every_plot_is_named_and_nothing_is_cut_off(html: str, aggregates: Aggregates) -> None:
    plots = drawings(html)
    assert len(plots) == 2 + 5 + 1 + 1 + 2 * len(aggregates.typologies) + 1
    ids: list[str] = []
    for plot in plots:
        title, description = (plot.find(f"{{http://www.w3.org/2000/svg}}{tag}") for tag in ("title", "desc"))
        assert title is not None
        assert description is not None
        assert title.text
        assert description.text
        assert plot.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]
        ids += [title.attrib["id"], description.attrib["id"]]
        _, _, width, height = map(float, plot.attrib["viewBox"].split())
        for text in named(plot, "text"):
            assert 0 <= float(text.attrib["x"]) <= width
            assert 0 < float(text.attrib["y"]) <= height
        for dot in named(plot, "circle"):
            assert 0 < float(dot.attrib["cx"]) < width
            assert 0 < float(dot.attrib["cy"]) < height
        assert "nan" not in ElementTree.tostring(plot, "unicode").lower().replace("nancy", "")
    assert len(set(ids)) == len(ids)


def test_the_page_shows_a_campaign_of_each_typology_with_its_id(html: str, aggregates: Aggregates) -> None:
    for counts in aggregates.typologies:
        assert counts.example is not None
        assert f"<figcaption>{counts.example.campaign_id}: " in html


def test_base_rates_stand_beside_published_ones_with_their_source(html: str, aggregates: Aggregates) -> None:
    own = base_rates(aggregates)
    assert set(own) == set(MEASURES)
    share = 100 * aggregates.fraud.number / (aggregates.fraud.number + aggregates.honest.number)
    assert own["fraud_of_number"] == f"{share:.3f} %"
    for figure in PUBLISHED_RATES:
        assert figure.measure in MEASURES
        assert figure.value in html
        assert re.search(r"\b(19|20)\d\d\b", figure.source)


def test_a_history_without_places_or_campaigns_is_drawn_too(history: History, tmp_path: Path) -> None:
    transactions, truth = history.transactions(), history.truth()
    for name in ("lat", "lon"):
        index = transactions.column_names.index(name)
        transactions = transactions.set_column(index, name, pa.nulls(transactions.num_rows, pa.float64()))
    empty = pa.nulls(truth.num_rows, pa.string()).dictionary_encode()
    truth = truth.set_column(3, "campaign_id", empty).set_column(2, "typology", empty)
    for name, table in (("transactions", transactions), ("truth", truth), ("labels", history.labels())):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "manifest.json").write_bytes((history.directory / "manifest.json").read_bytes())
    aggregates = aggregate(read_history(tmp_path))
    assert aggregates.local_hours is None
    assert aggregates.trade_hours == {}
    assert aggregates.typologies == []
    html = page(history.manifest, aggregates)
    assert "nowhere where a payment was made" in html
    assert "campaign" not in html.split("<main>")[1]


def test_a_world_without_fraud_is_drawn_too(tmp_path: Path) -> None:
    write_history(tmp_path, World(WorldConfig(cards=2000, fraud_scale=0)), 3)
    aggregates = aggregate(read_history(tmp_path))
    assert aggregates.fraud.number == 0
    assert len(drawings(page(read_history(tmp_path).manifest, aggregates))) == 9


def test_a_file_that_cannot_be_written_is_named(history: History, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FraudsimError, match="file"):
        write_page(history, tmp_path / "file" / "page.html")


def test_the_command_prints_the_table_and_writes_the_page(history: History, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    described = CliRunner().invoke(app, ["describe", str(history.directory), "--out", str(out)])
    assert described.exit_code == 0, described.output
    assert "hour (UTC)" in described.output
    assert str(out) in described.output.replace("\n", "")
    assert out.read_text().startswith("<!doctype html>")


def test_the_documented_categories_and_typologies_are_those_of_the_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "world.md").read_text()
    sold = {"shop": "shop", "atm": "cash machine", "online": "web", "recurring": "mandate"}
    for c in CATEGORIES:
        figures = f"{c.merchants:g} | {c.slots} | {c.weight:g} | {c.median_cents / 100:.2f} | {c.sigma:.2f} |"
        assert f"| {c.name} | {c.mcc} | {sold[c.kind]} | {figures}" in text
    for t in TYPOLOGY_CLASSES:
        row = f"| {t.name} | {100 * t.share:.2f} % | {t.mean_size:g} | {t.span_days} |"
        assert row in text


def test_the_documented_year_and_opening_hours_are_those_of_the_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "world.md").read_text()
    for season, months in MONTHLY_FACTORS.items():
        categories = ", ".join(name for name, own in CATEGORY_SEASON.items() if own == season)
        figures = " | ".join(f"{value:.2f}" for value in months)
        assert f"| {season} | {categories} | {figures} |" in text
    assert ", ".join(f"{name} {factor:g}" for name, factor in HOLIDAY_FACTORS.items()) in text
    for factor in (f"gifts × {SALES_FACTOR:g} from", f"gifts × {CHRISTMAS_FACTOR:g} from"):
        assert factor in text
    named = {1: "1st of the month", 15: "15th", 25: "25th", 28: "28th", 31: "last"}
    assert ", ".join(f"{named[day]} {100 * share:.0f} %" for day, share in PAY_DAYS.items()) in text
    assert f"1 + {PAY_DAY_LIFT:g} e^(−days ÷ {PAY_DAY_LIFT_DAYS:g})" in text
    assert f"| `growth_per_year` | {WorldConfig().growth_per_year:g} |" in text

    def clock(hour: float) -> str:
        return f"{int(hour % 24):02d}:{int(hour % 1 * 60):02d}"

    for name, t in CATEGORY_HOURS.items():
        hours = f"{clock(t.opens)} to {clock(t.closes)} | {t.spread:g} h"
        sundays = f"{clock(t.sunday_opens)} to {clock(t.sunday_closes)} | {100 * t.sunday_closed:.0f} %"
        assert f"| {name} | {hours} | {sundays} | {100 * t.never_closed:.0f} % |" in text


def test_the_documented_sources_are_those_of_the_page() -> None:
    text = (Path(__file__).parents[3] / "docs" / "world.md").read_text()
    for figure in PUBLISHED_RATES:
        assert figure.value.replace("about € 40", "about 40 EUR") in text
