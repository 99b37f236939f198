import dataclasses
import json
import math
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.tuning.handbook_like import HandbookLike
from studies import handbook
from studies.cli import app
from studies.handbook import PUBLISHED, page_of, study
from tests.handbook_file import REAL, needs_the_file

SETTINGS = Settings(_env_file=None, seed=7)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """Five weeks in the Handbook's layout, with enough fraud; 150 customers."""
    path = tmp_path_factory.mktemp("handbook") / "small.parquet"
    pq.write_table(HandbookLike(customers=150, terminals=100, radius=15, days=35).table(), path)
    return path


@needs_the_file
def test_three_published_weeks_give_all_figures(tmp_path, monkeypatch):
    for name in ("SHIPPED", "XGBOOST_DEFAULTS"):
        few = dataclasses.replace(getattr(handbook, name), trees=20)  # the rest is as published
        monkeypatch.setattr(handbook, name, few)
    result = CliRunner().invoke(
        app, ["study", "handbook", str(REAL), "--out", str(tmp_path / "out")], catch_exceptions=False
    )
    assert result.exit_code == 0
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    figures = ("average_precision", "auc", "card_precision_at_100")
    for value in (*map(document.get, figures), *map(document["xgboost_defaults"].get, figures)):
        assert 0 < value < 1
    assert document["published"] is None
    assert (document["train_from"], document["test_from"]) == ("2018-04-01", "2018-04-15")
    assert (document["train_rows"], document["test_rows"], document["test_frauds"]) == brute_force_rows()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["result.json", "result.md"]


def brute_force_rows():
    """Sizes of `get_train_test_set`, by the file's own columns."""
    columns = ["TX_TIME_DAYS", "CUSTOMER_ID", "TX_FRAUD"]
    day, customer, fraud = (pq.read_table(REAL, columns=columns)[name].to_numpy() for name in columns)
    first = int(day.max()) - 20
    compromised = set(customer[(day >= first) & (day < first + 7) & (fraud == 1)].tolist())
    rows = frauds = 0
    for number in range(7):
        compromised |= set(customer[(day == first + 6 + number) & (fraud == 1)].tolist())
        left = (day == first + 14 + number) & ~np.isin(customer, list(compromised))
        rows, frauds = rows + int(left.sum()), frauds + int(fraud[left].sum())
    return int(((day >= first) & (day < first + 7)).sum()), rows, frauds


def test_what_follows_the_test_changes_nothing(small_file, tmp_path):
    start = date(2018, 4, 1)
    early = study(small_file, tmp_path / "a", SETTINGS, start + timedelta(days=20))
    rows = pq.read_table(small_file)
    cut = rows.filter(rows["TX_DATETIME"].cast(pa.timestamp("us")).to_numpy() < np.datetime64("2018-04-28"))
    pq.write_table(cut, tmp_path / "cut.parquet")
    again = study(tmp_path / "cut.parquet", tmp_path / "b", SETTINGS)
    assert early == again
    assert early.test_from == "2018-04-21"
    assert early.published is None


def test_the_published_figures_stand_beside_their_own_week(tmp_path):
    table = HandbookLike(customers=150, terminals=100, radius=15, days=21).table()
    shift = datetime(2018, 7, 25) - datetime(2018, 4, 1)
    moved = pa.array(table["TX_DATETIME"].to_numpy() + np.timedelta64(shift))
    table = table.set_column(1, "TX_DATETIME", moved.cast(pa.timestamp("us")))
    pq.write_table(table, tmp_path / "july.parquet")
    result = study(tmp_path / "july.parquet", tmp_path / "out", SETTINGS)
    assert result.published == PUBLISHED
    assert "| published, tuned | 0.687" in page_of(result).markdown()
    assert math.isfinite(result.xgboost_defaults.auc)


@pytest.mark.parametrize(
    ("test_from", "message"),
    [
        (date(2018, 4, 14), "has the days 2018-04-01 to 2018-05-05; a test from 2018-04-14 takes 2018-03-31"),
        (date(2018, 5, 2), "a test from 2018-05-02 takes 2018-04-18 to 2018-05-08: give a longer file"),
    ],
)
def test_a_file_without_the_days_of_the_test_is_refused(small_file, tmp_path, test_from, message):
    with pytest.raises(FraudsimError, match=message):
        study(small_file, tmp_path / "out", SETTINGS, test_from)


def test_a_file_without_fraud_is_refused(small_file, tmp_path):
    table = pq.read_table(small_file)
    honest = pa.array(np.zeros(len(table), np.int64))
    table = table.set_column(5, "TX_FRAUD", honest).set_column(6, "TX_FRAUD_SCENARIO", honest)
    pq.write_table(table, tmp_path / "honest.parquet")
    with pytest.raises(FraudsimError, match=r"honest.parquet: validation: .* 0 are known frauds"):
        study(tmp_path / "honest.parquet", tmp_path / "out", SETTINGS)


def test_another_layout_and_no_file_are_one_line(tmp_path):
    from testing.samples.published_files import published

    other = published("cardsim").write(tmp_path)
    with pytest.raises(FraudsimError, match="is of layout cardsim; give a file of the Handbook's"):
        study(other, tmp_path / "out", SETTINGS)
    with pytest.raises(FraudsimError, match="No such file"):
        study(tmp_path / "away.parquet", tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()
