"""Ids that Parquet holds as numbers."""

from ipaddress import IPv4Address
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudsim.archive.id_columns import IPV4, spelled, sql_spellings, text_field, word_field

SCHEMA = pa.schema(
    [
        text_field("tx_id", pa.uint64(), "%016x"),
        word_field("card_id", pa.uint32(), "c%07d"),
        word_field("device_id", pa.uint64(), "d%016x"),
        word_field("ip", pa.uint32(), IPV4),
        ("ts", pa.int64()),
        ("channel", pa.dictionary(pa.int32(), pa.string())),
    ]
)
NUMBERS = {
    "tx_id": [0, 2**64 - 1, 0xABCDEF0123456789],
    "card_id": [7, 12_345_678, 7],
    "device_id": [1, None, 2**63],
    "ip": [None, 0xF0000001, 0xFFFFFFFF],
    "ts": [1, 2, 3],
    "channel": ["pos", "atm", "pos"],
}
TEXTS = {
    "tx_id": ["0000000000000000", "ffffffffffffffff", "abcdef0123456789"],
    "card_id": ["c0000007", "c12345678", "c0000007"],
    "device_id": ["d0000000000000001", None, "d8000000000000000"],
    "ip": [None, str(IPv4Address(0xF0000001)), "255.255.255.255"],
    "ts": [1, 2, 3],
    "channel": ["pos", "atm", "pos"],
}


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """In two row groups, so that columns are read in chunks."""
    pq.write_table(pa.table(NUMBERS, schema=SCHEMA), tmp_path / "numbers.parquet", row_group_size=2)
    return tmp_path / "numbers.parquet"


def test_numbers_become_the_texts_that_the_schema_says(stored: Path) -> None:
    table = spelled(pq.read_table(stored))
    assert table.to_pydict() == TEXTS
    assert table.schema.field("tx_id").type == pa.string()
    assert table.schema.field("card_id").type == SCHEMA.field("channel").type


def test_duckdb_makes_the_same_texts(stored: Path) -> None:
    texts = ", ".join(sql_spellings(pq.read_schema(stored)))
    rows = duckdb.sql(f"SELECT * REPLACE ({texts}) FROM '{stored}'")
    assert dict(zip(rows.columns, map(list, zip(*rows.fetchall(), strict=True)), strict=True)) == TEXTS


def test_texts_stay_as_they_are() -> None:
    table = pa.table(TEXTS)
    assert spelled(table).equals(table)
    assert sql_spellings(table.schema) == []


def test_no_rows_are_no_texts() -> None:
    table = spelled(SCHEMA.empty_table())
    assert table.num_rows == 0
    assert table.schema.field("ip").type == SCHEMA.field("channel").type
