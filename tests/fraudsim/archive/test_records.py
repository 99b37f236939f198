"""Rows of the archive for records that cannot be read in part."""

from fraudsim.archive.records import Record, to_table
from fraudsim.log.events import Transaction, Truth, encoder
from fraudsim.log.headers import UNREADABLE_HEADERS
from fraudsim.log.topics import TRANSACTIONS, TRUTH

T0 = 1_700_000_000_000
READABLE = [("segment", b"1")]
UNREADABLE = [(UNREADABLE_HEADERS, b"\x02\x04\xff\xfe")]
TRANSACTION = encoder.encode(Transaction(tx_id="t1", ts=T0, card_id="c1", amount_cents=5))


def rows(topic, *records):
    kafka_records = [Record(0, n, T0, b"c1", headers, value) for n, (headers, value) in enumerate(records)]
    return to_table(topic, kafka_records).to_pylist()


def test_unreadable_headers_are_an_error_and_the_value_stands_both_as_it_came_and_as_columns():
    good, bad = rows(TRANSACTIONS, (READABLE, TRANSACTION), (UNREADABLE, TRANSACTION))
    assert (good["error"], good["raw"]) == (None, None)
    assert (bad["error"], bad["raw"]) == ("headers: the name of a header is not UTF-8", TRANSACTION)
    assert bad["headers"] == [{"name": name, "value": value} for name, value in UNREADABLE]
    for name in ("tx_id", "ts", "card_id", "amount_cents"):
        assert good[name] == bad[name] is not None


def test_of_two_errors_the_values_is_named_as_it_is_in_the_dead_letter():
    spoilt, gone = rows(TRANSACTIONS, (UNREADABLE, b"{}"), (UNREADABLE, None))
    assert "tx_id" in spoilt["error"]
    assert (spoilt["raw"], spoilt["tx_id"]) == (b"{}", None)
    assert (gone["raw"], gone["error"]) == (None, "value: the record has no value")


def test_it_is_so_on_every_topic():
    (row,) = rows(TRUTH, (UNREADABLE, encoder.encode(Truth(tx_id="t1", is_fraud=True))))
    assert row["error"].startswith("headers: ")
    assert (row["tx_id"], row["is_fraud"]) == ("t1", True)
