"""What labels say of each transaction at a given time: labels come late, and may reverse earlier ones."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Flags, Ints
from fraudsim.errors import FraudsimError
from stream_features.encode import SOURCE_RANK
from stream_features.offline.columns import codes, column

EVENTUALLY: int = np.iinfo(np.int64).max
"""A time (ms) by which every label is known."""
SOURCES = tuple(sorted(SOURCE_RANK, key=lambda name: SOURCE_RANK[name]))


@dataclass(frozen=True, eq=False)
class LabelKnowledge:
    """The labels of a table of transactions, in the order in which they take effect."""

    rows: Ints
    """Row of each label's transaction."""
    known_at: Ints
    """ms; ascending, ties by the source's rank, so the last label of a row applies."""
    ranks: Ints
    """`encode.SOURCE_RANK` of each label's source."""
    says_fraud: Flags
    transactions: int

    @classmethod
    def of(cls, transactions: pa.Table, labels: pa.Table) -> "LabelKnowledge":
        """Labels joined to transactions by tx_id; labels of other transactions are left out.

        Raises:
            FraudsimError: a label's source is unknown; the message names it.
        """
        rows = pc.index_in(labels["tx_id"], value_set=transactions["tx_id"]).fill_null(-1)
        row = np.asarray(rows.to_numpy(), dtype=np.int64)
        source_codes, sources = codes(labels, "source")
        unknown = [source for source in sources if source not in SOURCE_RANK]
        if unknown:
            raise FraudsimError(f"labels: source={unknown[0]!r} is none of {', '.join(SOURCES)}")
        ranks = np.array([*(SOURCE_RANK[s] for s in sources if s), 0], np.int64)[source_codes]
        known_at = column(labels, "known_at").astype(np.int64)
        order = np.lexsort((ranks, known_at))
        order = order[row[order] >= 0]
        says_fraud = column(labels, "is_fraud").astype(np.bool_)
        return cls(row[order], known_at[order], ranks[order], says_fraud[order], transactions.num_rows)

    def fraud_known_by(self, time_ms: int) -> Flags:
        """Per transaction: whether the latest label with known_at < `time_ms` says fraud."""
        count = int(np.searchsorted(self.known_at, time_ms, side="left"))
        fraud = np.zeros(self.transactions, np.bool_)
        fraud[self.rows[:count]] = self.says_fraud[:count]  # the last assignment to a row applies
        return fraud

    def first_source(self) -> list[str | None]:
        """Per transaction: the source of its first label that says fraud; None without one."""
        rank = np.full(self.transactions, -1, np.int64)
        fraud = self.says_fraud[::-1]
        rank[self.rows[::-1][fraud]] = self.ranks[::-1][fraud]
        names: list[str | None] = [*SOURCES, None]
        return [names[r] for r in rank.tolist()]
