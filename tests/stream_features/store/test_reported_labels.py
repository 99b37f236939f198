"""What priming keeps of a history's reports: customers' and analysts', known shortly before its end."""

import pyarrow as pa

from fraudsim.log.events import Label
from stream_features.store.reported_labels import KEPT_DAYS, decode_reported, encode_reported

DAY = 86_400_000
END = 1_000 * DAY


def label(tx_id, known_at, source="customer", is_fraud=True):
    return Label(
        tx_id=tx_id, card_id="c", ts=known_at - DAY, amount_cents=5, is_fraud=is_fraud, source=source,
        known_at=known_at, merchant_id="m",
    )  # fmt: skip


def kept(*labels):
    table = pa.Table.from_pylist(
        [{name: getattr(one, name) for name in Label.__struct_fields__} for one in labels]
    )
    return decode_reported(encode_reported(table, END))


def test_reports_and_verdicts_known_before_the_end_are_kept_oldest_first():
    late, early, cleared = label("b", END - 1), label("a", END - DAY), label("c", END - 5, "analyst", False)
    assert kept(late, cleared, early) == [early, cleared, late]


def test_what_is_not_known_yet_or_long_known_or_a_chargeback_is_left_out():
    oldest = label("a", END - KEPT_DAYS * DAY)
    assert kept(label("b", END), label("c", oldest.known_at - 1), label("d", END - 1, "chargeback")) == []
    assert kept(oldest) == [oldest]


def test_without_a_history_or_from_an_earlier_version_there_are_none():
    assert decode_reported(encode_reported(None, END)) == decode_reported(None) == []
