"""The data of a retraining: payments of the history and the run's log, and the labels known by then."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.errors import FraudsimError
from producers.history.fingerprint import fingerprint
from producers.history.reader import read_history
from producers.history.tables import LABELS, TRANSACTIONS
from stream_features.catalogue.features import DAY
from stream_features.offline.archived_log import accepted_labels, accepted_transactions, archived_clock

LONGEST_GAP_DAYS: Final = 2
"""Event time without any payment for longer is a clock that has jumped."""


@dataclass(frozen=True, eq=False)
class KnownData:
    """What a bank has at a moment: payments before it, and labels known before it."""

    transactions: pa.Table
    """In order of (ts, tx_id)."""
    labels: pa.Table
    now_ms: int

    @property
    def start_ms(self) -> int:
        """Event time of the first payment."""
        return int(self.transactions["ts"][0].as_py())

    @property
    def fingerprint(self) -> str:
        """Hash of both tables and the moment, 64 hex digits."""
        moment = pa.table({"now_ms": [self.now_ms]})
        return fingerprint(transactions=self.transactions, labels=self.labels, moment=moment)


def newest_event_ms(run: Path) -> int:
    """Event time just after the newest payment in a run's archive.

    Raises:
        FraudsimError: the archive has no clock or no payment.
    """
    newest = max((tx.ts for _, tx in accepted_transactions(run, archived_clock(run))), default=None)
    if newest is None:
        raise FraudsimError(f"--run {run}: its log has no transaction yet; wait for the archiver")
    return newest + 1


def known_data(run: Path, now_ms: int, days: float) -> KnownData:
    """The last `days` before a moment, from the run's history and archived log.

    Raises:
        FraudsimError: there is nothing, or event time jumps within.
    """
    from_ms = now_ms - round(days * DAY)
    history, clock = read_history(run / "history"), archived_clock(run)
    end_ms = history.manifest.end_ms
    past = history.transactions()
    live = _table([tx for _, tx in accepted_transactions(run, clock) if tx.ts < now_ms], TRANSACTIONS)
    transactions = _joined([past.select(TRANSACTIONS.names), live], TRANSACTIONS)
    transactions = transactions.filter(
        pc.and_(pc.greater_equal(transactions["ts"], from_ms), pc.less(transactions["ts"], now_ms))
    ).sort_by([("ts", "ascending"), ("tx_id", "ascending")])
    if not transactions.num_rows:
        raise FraudsimError(
            f"--days {days:g}: no transaction of {run} lies in the last {days:g} days; give more"
        )
    heard = _table([label for _, label in accepted_labels(run, clock) if label.known_at < now_ms], LABELS)
    before = history.labels(known_before_ms=min(end_ms, now_ms))
    labels = _joined([before.select(LABELS.names), heard], LABELS)
    labels = labels.filter(pc.is_in(labels["tx_id"], value_set=transactions["tx_id"].combine_chunks()))
    _check_time(transactions, run)
    return KnownData(
        transactions, labels.sort_by([("known_at", "ascending"), ("tx_id", "ascending")]), now_ms
    )


def _check_time(transactions: pa.Table, run: Path) -> None:
    ts = transactions["ts"].to_numpy()
    gaps = np.diff(ts)
    if len(gaps) and gaps.max() > LONGEST_GAP_DAYS * DAY:
        at = int(gaps.argmax())
        dates = [np.datetime64(int(ts[index]), "ms").astype("datetime64[D]") for index in (at, at + 1)]
        raise FraudsimError(
            f"--run {run}: event time jumps from {dates[0]} to {dates[1]}: windows would be empty there; "
            "give --days so that the window begins later"
        )


def _table(events: Iterable[msgspec.Struct], schema: pa.Schema) -> pa.Table:
    rows: list[dict[str, Any]] = [{name: getattr(event, name) for name in schema.names} for event in events]
    return pa.Table.from_pylist(rows, schema=_plain(schema))


def _joined(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    plain = _plain(schema)
    joined = pa.concat_tables([table.cast(plain) for table in tables])
    return joined.cast(schema).combine_chunks()


def _plain(schema: pa.Schema) -> pa.Schema:
    """With words in place of dictionaries."""
    return pa.schema(
        [
            (field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
            for field in schema
        ]
    )
