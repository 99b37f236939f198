"""The Handbook loader, on small files in the published layout and on the real one where it is."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Transaction, Truth
from producers.datasets.dataset import load_dataset
from producers.datasets.handbook import COLUMNS, LAYOUT
from producers.datasets.registry import read_dataset, replay_history, replay_source
from testing.samples.published_files import HANDBOOK_START, handbook, write_handbook
from tests.handbook_file import REAL, needs_the_file

START_MS = 1_522_540_800_000


def test_rows_become_events_without_inventing_what_is_not_there(tmp_path: Path) -> None:
    path = write_handbook(tmp_path / "book.parquet")
    source = replay_source(path, START_MS)
    events = [item.event for item in source.items() if isinstance(item.event, Transaction)]
    assert len(events) == 120
    assert events[0] == Transaction(tx_id="0", ts=START_MS, card_id="0", merchant_id="0", amount_cents=101)
    assert [event.tx_id for event in events] == [str(i) for i in range(120)]
    assert [event.amount_cents for event in events] == [101 + i for i in range(120)]


def test_ids_may_be_texts_and_times_may_be_texts_or_of_any_precision(tmp_path: Path) -> None:
    def fingerprint(values: dict[str, Any]) -> str:
        return load_dataset(LAYOUT, write_handbook(tmp_path / "book.parquet", values)).fingerprint

    values = handbook()
    plain = fingerprint(values)
    for name in ("CUSTOMER_ID", "TX_TIME_SECONDS", "TX_TIME_DAYS"):
        values[name] = [str(v) for v in values[name]]
    assert fingerprint(values) == plain
    times = handbook()["TX_DATETIME"]
    for unit in ("s", "ms", "us", "ns"):
        assert fingerprint({**values, "TX_DATETIME": pa.array(times, pa.timestamp(unit))}) == plain
    assert fingerprint({**values, "TX_DATETIME": [t.isoformat(sep=" ") for t in times]}) == plain


def test_milliseconds_are_kept_and_equal_times_keep_the_files_order(tmp_path: Path) -> None:
    values = {name: column[:6] for name, column in handbook().items()}
    offsets = [5, 1, 1, 0, 1, 2]
    values["TX_DATETIME"] = [HANDBOOK_START + timedelta(milliseconds=ms) for ms in offsets]
    values["TRANSACTION_ID"] = [50, 41, 30, 2, 11, 7]
    events = load_dataset(LAYOUT, write_handbook(tmp_path / "burst.parquet", values)).tables.transactions
    assert [ts - START_MS for ts in events["ts"].to_pylist()] == [0, 1, 1, 1, 2, 5]
    assert events["tx_id"].to_pylist() == ["2", "41", "30", "11", "7", "50"]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named_with_its_file(tmp_path: Path, column: str) -> None:
    values = handbook()
    del values[column]
    path = write_handbook(tmp_path / "short.parquet", values)
    with pytest.raises(FraudsimError, match=rf"short\.parquet: column {column} is missing"):
        read_dataset(path)


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("TX_AMOUNT", -1.0),
        ("TX_AMOUNT", float("nan")),
        ("TX_AMOUNT", float("inf")),
        ("TX_AMOUNT", None),
        ("TX_AMOUNT", 1e12),
        ("TX_DATETIME", None),
        ("TX_DATETIME", datetime(1960, 1, 1)),
        ("CUSTOMER_ID", None),
        ("TRANSACTION_ID", 4),
        ("TX_FRAUD", 2),
        ("TX_FRAUD", None),
    ],
)
def test_a_bad_row_is_named_by_number_and_column(tmp_path: Path, column: str, bad: object) -> None:
    values = handbook()
    values[column][17] = bad
    path = write_handbook(tmp_path / "bad.parquet", values)
    with pytest.raises(FraudsimError, match=rf"bad\.parquet: row 17: {column}="):
        load_dataset(LAYOUT, path)


@pytest.mark.parametrize("column", ["TX_DATETIME", "TX_AMOUNT"])
def test_a_text_that_cannot_be_read_is_named_by_its_row(tmp_path: Path, column: str) -> None:
    values = handbook()
    values[column] = [str(v) for v in values[column]]
    values[column][17] = "yesterday"
    path = write_handbook(tmp_path / "bad.parquet", values)
    with pytest.raises(FraudsimError, match=rf"bad\.parquet: row 17: {column}='yesterday'"):
        load_dataset(LAYOUT, path)


def test_files_that_are_absent_empty_or_not_parquet_are_named(tmp_path: Path) -> None:
    with pytest.raises(FraudsimError, match=r"none\.parquet"):
        load_dataset(LAYOUT, tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("TRANSACTION_ID")
    with pytest.raises(FraudsimError, match=r"text\.parquet"):
        load_dataset(LAYOUT, tmp_path / "text.parquet")
    empty = pa.table(handbook()).slice(0, 0)
    pq.write_table(empty, tmp_path / "empty.parquet")
    with pytest.raises(FraudsimError, match=r"empty\.parquet: there are no rows"):
        load_dataset(LAYOUT, tmp_path / "empty.parquet")


def test_a_split_without_history_is_refused(tmp_path: Path) -> None:
    path = write_handbook(tmp_path / "book.parquet", handbook(days=1))
    with pytest.raises(FraudsimError, match="one day only"):
        replay_history(path, tmp_path / "h")
    with pytest.raises(FraudsimError, match=f"split_ms={START_MS}"):
        replay_history(path, tmp_path / "h", split_ms=START_MS)
    with pytest.raises(FraudsimError, match="history_share=2"):
        replay_history(path, tmp_path / "h", history_share=2)
    assert replay_history(path, tmp_path / "h", split_ms=START_MS + 600_000).transactions == 10


def test_scenarios_become_typologies(tmp_path: Path) -> None:
    path = write_handbook(tmp_path / "book.parquet")
    truths = {
        i.event.tx_id: i.event for i in replay_source(path, START_MS).items() if isinstance(i.event, Truth)
    }
    assert truths["10"].typology == "scenario_2"
    assert truths["10"].is_fraud
    assert "11" not in truths


def test_another_amount_is_another_stream(tmp_path: Path) -> None:
    values = handbook()
    values["TX_AMOUNT"][3] += 1
    other = replay_source(write_handbook(tmp_path / "other.parquet", values), START_MS)
    assert replay_source(write_handbook(tmp_path / "book.parquet"), START_MS).name != other.name


@needs_the_file
def test_the_published_file_loads_whole(tmp_path: Path) -> None:
    manifest = replay_history(REAL, tmp_path)
    assert manifest.transactions == 134_288
    assert manifest.days == 14
    assert 0.002 < manifest.fraud_rate < 0.01
    book = load_dataset(LAYOUT, REAL)
    assert book.tables.transactions.num_rows == 201_256


@pytest.mark.parametrize("column", ["TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT", "TX_FRAUD"])
def test_categories_of_pandas_are_read_by_their_values(tmp_path: Path, column: str) -> None:
    plain = read_dataset(write_handbook(tmp_path / "plain.parquet"))
    columns = handbook()
    categories = pa.array(columns[column]).dictionary_encode()
    dataset = read_dataset(write_handbook(tmp_path / "c.parquet", {**columns, column: categories}))
    assert dataset.tables.transactions == plain.tables.transactions
    assert dataset.tables.truth == plain.tables.truth
