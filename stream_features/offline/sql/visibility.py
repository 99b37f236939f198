"""What of the tables a transaction may see, as SQL: all before its own time, or a decision's log prefix."""

from dataclasses import dataclass
from typing import Protocol

from stream_features.offline.sql.dialects import Dialect


class Visibility(Protocol):
    """Conditions on a transaction `e` or a label `l`, seen from the transaction at hand `q`."""

    def transactions(self, entity: str, dialect: Dialect) -> str:
        """That `e`, of the same key of the entity, is seen."""
        ...

    def labels(self, entity: str, dialect: Dialect) -> str:
        """That `l`, of the same key of the entity, is seen."""
        ...

    def beyond(self, newest: str) -> str:
        """That `q` lies too far behind the newest that its key's state would know of."""
        ...


@dataclass(frozen=True)
class AsOf:
    """All that became known before the transaction's own ts, less a lag: how batches would have it."""

    lag_ms: int = 0

    def transactions(self, entity: str, dialect: Dialect) -> str:
        return f"e.ts < q.ts - {self.lag_ms}"

    def labels(self, entity: str, dialect: Dialect) -> str:
        return f"l.known_at < q.ts - {self.lag_ms}"

    def beyond(self, newest: str) -> str:
        return "FALSE"  # nothing newer is seen


@dataclass(frozen=True)
class WithinPrefix:
    """The history, and of the log what a decision's prefix names, whatever its time.

    The transactions at hand bear the prefix as lists by partition: `tail_from`, `tail_to`, for each entity
    `<entity>_folded` and `<entity>_labels_folded`; and `pending`, a list of tx_ids.
    """

    horizon_ms: int

    def transactions(self, entity: str, dialect: Dialect) -> str:
        place = f"e.log_partition + {dialect.first}"
        return (
            f"(e.log_partition IS NULL OR e.log_offset <= q.{entity}_folded[{place}]"
            f" OR e.log_offset BETWEEN q.tail_from[{place}] AND q.tail_to[{place}]"
            " OR array_contains(q.pending, e.tx_id))"
        )

    def labels(self, entity: str, dialect: Dialect) -> str:
        place = f"l.log_partition + {dialect.first}"
        return f"(l.log_partition IS NULL OR l.log_offset <= q.{entity}_labels_folded[{place}])"

    def beyond(self, newest: str) -> str:
        return f"coalesce({newest} > ts + {self.horizon_ms}, FALSE)"
