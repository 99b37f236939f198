"""Integrity of a history: order of times and ids, keys of labels, and the truth kept out of observables."""

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from producers.audit.columns import all_words, codes_and_words, is_text, observable_columns, plain
from producers.audit.report import Check, count_check
from producers.history.reader import History

_TRUTH_NAMES: Final = re.compile("fraud|truth|typology|campaign|scenario|label|target", re.IGNORECASE)


def order_checks(history: History, truth: pa.Table) -> Iterator[Check]:
    """Check times and ids of the transactions, and that the truth has the same rows."""
    manifest = history.manifest
    table = history.transactions(["tx_id", "ts"])
    ids, ts = table["tx_id"].combine_chunks(), np.asarray(table["ts"])
    yield count_check("order", "transactions", "ts runs backwards", (np.diff(ts) < 0).sum())
    outside = (ts < manifest.start_ms) | (ts >= manifest.end_ms)
    yield count_check("order", "transactions", "ts outside the history", outside.sum())
    if manifest.source == "world":
        tied = np.flatnonzero(np.diff(ts) == 0)
        descending = pc.greater(ids.take(pa.array(tied)), ids.take(pa.array(tied + 1)))
        yield count_check("order", "transactions", "equal times not by tx_id", pc.sum(descending).as_py())
    yield count_check("order", "transactions", "tx_id not unique", len(ids) - pc.count_distinct(ids).as_py())
    same = truth.num_rows == len(ids) and pc.all(pc.equal(truth["tx_id"].combine_chunks(), ids)).as_py()
    yield count_check("order", "truth", "not row by row that of the transactions", not same)


def label_checks(history: History) -> Iterator[Check]:
    """Check that labels come after their transactions and repeat their keys."""
    keys = ["card_id", "merchant_id", "ts", "amount_cents"]
    labels = history.labels()
    known_at, ts = np.asarray(labels["known_at"]), np.asarray(labels["ts"])
    yield count_check("order", "labels", "known before the transaction", (known_at < ts).sum())
    yield count_check("order", "labels", "known_at runs backwards", (np.diff(known_at) < 0).sum())
    texts = [labels[name].cast(pa.string()) for name in ("tx_id", "source")]
    label_keys = pa.table([*texts, labels["known_at"]], names=["tx_id", "source", "known_at"])
    distinct = label_keys.group_by(label_keys.column_names).aggregate([]).num_rows
    yield count_check("order", "labels", "given twice", labels.num_rows - distinct)
    ids = history.transactions(["tx_id"])["tx_id"].combine_chunks()
    row = pc.index_in(labels["tx_id"].combine_chunks(), value_set=ids)
    yield count_check("order", "labels", "of no transaction", row.null_count)
    has_transaction = row.is_valid()
    for name in keys:
        of_transaction = plain(history.transactions([name])[name]).take(row.filter(has_transaction))
        of_label = plain(labels[name]).filter(has_transaction)
        differing = pc.sum(pc.not_equal(of_label, of_transaction)).as_py()
        yield count_check("order", "labels", f"another {name}", differing)


def truth_checks(history: History, truth: pa.Table) -> Iterator[Check]:
    """Check that no observable column has a name or value of the truth."""
    names = observable_columns(history)
    truth_names = [name for name in names if _TRUTH_NAMES.search(name)]
    yield count_check(
        "truth", "transactions", "columns named after the truth", len(truth_names), ", ".join(truth_names)
    )
    words = {column: codes_and_words(truth[column])[1] for column in ("typology", "campaign_id")}
    typologies = [word for word in words["typology"].to_pylist() if word]
    pattern = "|".join(re.escape(word) for word in typologies)
    for name in names:
        column = history.transactions([name])[name]
        if not is_text(column):
            continue
        values = all_words(column)
        hits = pc.is_in(values, value_set=words["campaign_id"])
        if typologies:
            hits = pc.or_(hits, pc.match_substring_regex(values, pattern, ignore_case=True))
        examples = values.filter(hits).slice(0, 3).to_pylist()
        count = pc.sum(hits).as_py() or 0
        yield count_check(
            "truth", name, "values that name a typology or a campaign", count, ", ".join(examples)
        )
