"""The last weeks of a history as the detector's reference: the vectors that a model was trained on."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from dashboards.drift.decided_weeks import WEEK_MS, WEEKS_BEFORE, DecidedRows, DecidedWeeks, watched
from dashboards.drift.detector import FEWEST_WEEKS
from dashboards.drift.week import WeekRows
from fraudsim.arrays import Floats
from stream_features.offline.columns import column, hashes

REFERENCE_MS = (WEEKS_BEFORE + FEWEST_WEEKS) * WEEK_MS
"""How much of a history is needed."""


def training_weeks(transactions: pa.Table, vectors: Floats, end_ms: int) -> Iterator[WeekRows]:
    """The weeks before `end_ms` that make a reference, of features alone: nobody decided a history.

    Args:
        transactions: of the history, in order of (ts, tx_id), n rows.
        vectors: theirs, shape (n, features).
    """
    n, start_ms = transactions.num_rows, end_ms - REFERENCE_MS
    nobody = np.zeros(n, np.int64)
    rows = DecidedRows(
        transactions["ts"].to_numpy(), hashes(transactions, "card_id"), plain(transactions["tx_id"]),
        watched(vectors), nobody.astype(np.float32), nobody.astype(np.float64), nobody,
        column(transactions, "amount_cents").astype(np.int64), nobody.astype(np.bool_),
    )  # fmt: skip
    for week in DecidedWeeks(start_ms).add(rows.between(start_ms, end_ms), [], end_ms):
        yield week.features_only()


def plain(values: pa.ChunkedArray) -> pa.Array:
    """A column as one array of its values."""
    array = values.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
