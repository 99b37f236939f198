"""The events that a query may see, as SQL: all before its own time, or a decision's log prefix."""

from dataclasses import dataclass
from typing import Protocol

from stream_features.offline.sql.dialects import Dialect


class Visibility(Protocol):
    """SQL conditions on a transaction `e` or a label `l`, as seen from the query transaction `q`."""

    def transactions(self, entity: str, dialect: Dialect) -> str:
        """The condition that `e`, of the same key of the entity, is visible."""
        ...

    def labels(self, entity: str, dialect: Dialect) -> str:
        """The condition that `l`, of the same key of the entity, is visible."""
        ...

    def beyond_horizon(self, newest: str) -> str:
        """The condition that `q` lies too far behind `newest`, the newest event of its key's state."""
        ...


@dataclass(frozen=True)
class AsOf:
    """All that became known before the query's own ts, less a lag, as features computed in batches see it."""

    lag_ms: int = 0

    def transactions(self, entity: str, dialect: Dialect) -> str:
        return f"e.ts < q.ts - {self.lag_ms}"

    def labels(self, entity: str, dialect: Dialect) -> str:
        return f"l.known_at < q.ts - {self.lag_ms}"

    def beyond_horizon(self, newest: str) -> str:
        return "FALSE"  # nothing newer is visible


@dataclass(frozen=True)
class WithinPrefix:
    """The history, and from the log what a decision's prefix names, whatever its time.

    The queries carry the prefix as lists by partition: `tail_from`, `tail_to`, and for each entity
    `<entity>_folded` and `<entity>_labels_folded`; and `pending`, a list of tx_ids. Where their `lag_ms` is
    not 0, only what became known before their own ts less that is visible.
    """

    horizon_ms: int

    def transactions(self, entity: str, dialect: Dialect) -> str:
        index = f"e.log_partition + {dialect.first_index}"
        return (
            f"(e.log_partition IS NULL OR e.log_offset <= q.{entity}_folded[{index}]"
            f" OR e.log_offset BETWEEN q.tail_from[{index}] AND q.tail_to[{index}]"
            " OR array_contains(q.pending, e.tx_id))"
            " AND (q.lag_ms = 0 OR e.ts < q.ts - q.lag_ms)"
        )

    def labels(self, entity: str, dialect: Dialect) -> str:
        index = f"l.log_partition + {dialect.first_index}"
        return (
            f"(l.log_partition IS NULL OR l.log_offset <= q.{entity}_labels_folded[{index}])"
            " AND (q.lag_ms = 0 OR l.known_at < q.ts - q.lag_ms)"
        )

    def beyond_horizon(self, newest: str) -> str:
        return f"coalesce({newest} > ts + {self.horizon_ms}, FALSE)"
