"""The Handbook loader, on small files in the published layout and on the real one where it is."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudsim.errors import FraudsimError
from fraudsim.events import Label, Transaction, Truth, decode_transaction, encoder
from producers.datasets.dataset import read_layout
from producers.datasets.handbook import COLUMNS, LAYOUT
from producers.datasets.known import layout_of, replay_history, replay_source
from producers.history import read_history

REAL = Path(
    os.environ.get(
        "FRAUDSIM_TEST_HANDBOOK",
        Path(__file__).parents[3] / "shared" / "data" / "handbook-2018-04-01-to-21.parquet",
    )
)
START = datetime(2018, 4, 1)
DAY_MS = 86_400_000
START_MS = 1_522_540_800_000


def rows(days: int = 6, per_day: int = 20) -> dict[str, list[Any]]:
    """A made file: exactly the published columns, in order of time; every tenth row is fraud."""
    count = days * per_day
    times = [START + timedelta(days=i // per_day, minutes=i % per_day) for i in range(count)]
    return {
        "TRANSACTION_ID": list(range(count)),
        "TX_DATETIME": times,
        "CUSTOMER_ID": [i % 7 for i in range(count)],
        "TERMINAL_ID": [i % 11 for i in range(count)],
        "TX_AMOUNT": [round(1.01 + i / 100, 2) for i in range(count)],
        "TX_TIME_SECONDS": [int((t - START).total_seconds()) for t in times],
        "TX_TIME_DAYS": [(t - START).days for t in times],
        "TX_FRAUD": [int(i % 10 == 0) for i in range(count)],
        "TX_FRAUD_SCENARIO": [1 + i % 3 if i % 10 == 0 else 0 for i in range(count)],
    }


def write(path: Path, values: dict[str, Any]) -> Path:
    pq.write_table(pa.table(values), path)
    return path


def test_the_layout_is_known_by_its_header(tmp_path: Path) -> None:
    assert layout_of(write(tmp_path / "book.parquet", rows())) is LAYOUT
    assert not LAYOUT.fits(["tx_id"])


def test_rows_become_events_without_inventing_what_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "book.parquet", rows())
    source = replay_source(path, START_MS)
    found = [item.event for item in source.items() if isinstance(item.event, Transaction)]
    assert len(found) == 120
    assert found[0] == Transaction(tx_id="0", ts=START_MS, card_id="0", merchant_id="0", amount_cents=101)
    assert [event.amount_cents for event in found] == [101 + i for i in range(120)]
    for event in found:
        assert decode_transaction(encoder.encode(event)) == event


def test_ids_may_be_texts_and_times_may_be_texts_or_of_any_precision(tmp_path: Path) -> None:
    plain = read_layout(LAYOUT, write(tmp_path / "plain.parquet", rows()))
    values = rows()
    values["CUSTOMER_ID"] = [str(v) for v in values["CUSTOMER_ID"]]
    values["TX_TIME_SECONDS"] = [str(v) for v in values["TX_TIME_SECONDS"]]
    values["TX_TIME_DAYS"] = [str(v) for v in values["TX_TIME_DAYS"]]
    assert read_layout(LAYOUT, write(tmp_path / "texts.parquet", values)).fingerprint == plain.fingerprint
    for unit in ("s", "ms", "us", "ns"):
        values["TX_DATETIME"] = pa.array(rows()["TX_DATETIME"], pa.timestamp(unit))
        path = write(tmp_path / f"{unit}.parquet", values)
        assert read_layout(LAYOUT, path).fingerprint == plain.fingerprint
    values["TX_DATETIME"] = [t.isoformat(sep=" ") for t in rows()["TX_DATETIME"]]
    assert read_layout(LAYOUT, write(tmp_path / "times.parquet", values)).fingerprint == plain.fingerprint


def test_milliseconds_are_kept_and_equal_times_keep_the_files_order(tmp_path: Path) -> None:
    values = {name: column[:6] for name, column in rows().items()}
    offsets = [5, 1, 1, 0, 1, 2]
    values["TX_DATETIME"] = [START + timedelta(milliseconds=ms) for ms in offsets]
    values["TRANSACTION_ID"] = [50, 41, 30, 2, 11, 7]
    found = read_layout(LAYOUT, write(tmp_path / "burst.parquet", values)).tables.transactions
    assert [ts - START_MS for ts in found["ts"].to_pylist()] == [0, 1, 1, 1, 2, 5]
    assert found["tx_id"].to_pylist() == ["2", "41", "30", "11", "7", "50"]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named_with_its_file(tmp_path: Path, column: str) -> None:
    values = rows()
    del values[column]
    path = write(tmp_path / "short.parquet", values)
    with pytest.raises(FraudsimError, match=rf"short\.parquet: column {column} is missing"):
        read_layout(LAYOUT, path)


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
    values = rows()
    values[column][17] = bad
    path = write(tmp_path / "bad.parquet", values)
    with pytest.raises(FraudsimError, match=rf"bad\.parquet: row 17: {column}="):
        read_layout(LAYOUT, path)


@pytest.mark.parametrize("column", ["TX_DATETIME", "TX_AMOUNT"])
def test_a_text_that_cannot_be_read_is_named_by_its_row(tmp_path: Path, column: str) -> None:
    values = rows()
    values[column] = [str(v) for v in values[column]]
    values[column][17] = "yesterday"
    path = write(tmp_path / "bad.parquet", values)
    with pytest.raises(FraudsimError, match=rf"bad\.parquet: row 17: {column}='yesterday'"):
        read_layout(LAYOUT, path)


def test_files_that_are_absent_empty_or_not_parquet_are_named(tmp_path: Path) -> None:
    with pytest.raises(FraudsimError, match=r"none\.parquet"):
        read_layout(LAYOUT, tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("TRANSACTION_ID")
    with pytest.raises(FraudsimError, match=r"text\.parquet"):
        read_layout(LAYOUT, tmp_path / "text.parquet")
    empty = pa.table(rows()).slice(0, 0)
    pq.write_table(empty, tmp_path / "empty.parquet")
    with pytest.raises(FraudsimError, match=r"empty\.parquet: there are no rows"):
        read_layout(LAYOUT, tmp_path / "empty.parquet")


def test_history_takes_two_thirds_of_the_days_and_the_stream_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path / "book.parquet", rows(days=6))
    manifest = replay_history(path, tmp_path / "h")
    assert manifest.end_ms == START_MS + 4 * DAY_MS
    assert manifest.transactions == 80
    assert manifest.source == "handbook"
    assert manifest.config["file"] == "book.parquet"
    history = read_history(tmp_path / "h")
    past = history.transactions()["tx_id"].to_pylist()
    source = replay_source(path, manifest.end_ms)
    assert source.start_ms == manifest.end_ms
    live = [item.event.tx_id for item in source.items() if isinstance(item.event, Transaction)]
    assert past + live == [str(i) for i in range(120)]
    due = history.labels().filter(history.labels()["known_at"].to_numpy() >= manifest.end_ms)
    events = [item.event for item in source.items()]
    old = [e for e in events if isinstance(e, Label) and e.ts < manifest.end_ms]
    assert sorted(e.tx_id for e in old) == sorted(due["tx_id"].to_pylist())


def test_a_split_without_history_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "book.parquet", rows(days=1))
    with pytest.raises(FraudsimError, match="one day only"):
        replay_history(path, tmp_path / "h")
    with pytest.raises(FraudsimError, match=f"split_ms={START_MS}"):
        replay_history(path, tmp_path / "h", split_ms=START_MS)
    with pytest.raises(FraudsimError, match="history_share=2"):
        replay_history(path, tmp_path / "h", history_share=2)
    assert replay_history(path, tmp_path / "h", split_ms=START_MS + 600_000).transactions == 10


def test_scenarios_become_typologies(tmp_path: Path) -> None:
    path = write(tmp_path / "book.parquet", rows())
    truths = {
        i.event.tx_id: i.event for i in replay_source(path, START_MS).items() if isinstance(i.event, Truth)
    }
    assert truths["10"].typology == "scenario_2"
    assert truths["10"].is_fraud
    assert truths["11"] == Truth(tx_id="11", is_fraud=False)


def test_the_stream_is_ordered_repeats_and_is_named_for_its_content(tmp_path: Path) -> None:
    path = write(tmp_path / "book.parquet", rows())
    once, again = (replay_source(path, START_MS) for _ in range(2))
    items = list(once.items())
    assert items == list(again.items()) == list(once.items())
    assert [i.due_ms for i in items] == sorted(i.due_ms for i in items)
    values = rows()
    values["TX_AMOUNT"][3] += 1
    other = replay_source(write(tmp_path / "other.parquet", values), START_MS)
    assert once.name == again.name != other.name
    assert replay_source(path, START_MS + 1).name != once.name


@pytest.mark.skipif(
    not REAL.is_file(), reason="the Handbook's file is not on this machine (FRAUDSIM_TEST_HANDBOOK)"
)
def test_the_published_file_loads_whole(tmp_path: Path) -> None:
    manifest = replay_history(REAL, tmp_path)
    assert manifest.transactions == 134_288
    assert manifest.days == 14
    assert 0.002 < manifest.fraud_rate < 0.01
    book = read_layout(LAYOUT, REAL)
    assert book.tables.transactions.num_rows == 201_256
