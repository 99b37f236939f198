"""A batch of the stream: transactions of several partitions that are decided together."""

from dataclasses import dataclass

from scorer.decide import Incoming, PrefetchedState


@dataclass(slots=True)
class QueuedTransaction:
    """A transaction that waits in the backlog of its partition."""

    incoming: Incoming
    http_decision: bytes | None
    """The decision that HTTP gave, as it stands in the record's header."""


@dataclass(frozen=True, slots=True)
class DecisionBatch:
    """Transactions decided together, in source order within each partition."""

    queued: list[QueuedTransaction]
    undecided: list[Incoming]
    """Those that HTTP has not decided."""
    prefetched_state: PrefetchedState | None
    """The read of their state, begun when the batch was taken from the backlog."""
    taken_s: float
    """Monotonic."""
    revocations: int
    """How often partitions had been revoked when the batch was taken."""
