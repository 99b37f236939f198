"""What a batch is: the offsets that Spark chose, and what its tasks have to know. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fraudsim.errors import InvariantError
from fraudsim.log.events import Segment
from fraudsim.log.topics import LABELS, TRANSACTIONS
from fraudsim.settings import Settings


@dataclass(frozen=True)
class BatchPlan:
    """One batch. Lists are by source: the partitions of `transactions`, then those of `labels`."""

    settings: Settings
    segment: Segment
    """The log's first, which every slot's watermark must name."""
    starts: Sequence[int]
    """First offset of the batch."""
    ends: Sequence[int]
    """The offset after its last."""
    log_begins: Sequence[int]
    """First offset that the log holds."""
    home_offsets: Sequence[int]
    """Last offset that the source's home slot has folded: dead letters up to there are written."""
    fresh_at_ms: int | None
    """Wall-clock time up to which the log is folded after the batch; None where it is unknown."""

    @property
    def sources(self) -> int:
        """The number of sources."""
        return 2 * self.settings.partitions


def source_topic(source: int, partitions: int) -> str:
    """The topic of a source."""
    return LABELS if source >= partitions else TRANSACTIONS


def starting_offsets(starts: Sequence[int], partitions: int) -> str:
    """First offsets, by source, in the form that Spark's Kafka source takes."""
    by_topic = {
        topic: {str(p): starts[first + p] for p in range(partitions)}
        for topic, first in ((TRANSACTIONS, 0), (LABELS, partitions))
    }
    return json.dumps(by_topic)


def offsets_of(text: str, partitions: int) -> list[int]:
    """The offsets, by source, of a Kafka source's JSON.

    Raises:
        InvariantError: a partition is missing.
    """
    by_topic: Mapping[str, Mapping[str, int]] = json.loads(text)
    try:
        return [by_topic[topic][str(p)] for topic in (TRANSACTIONS, LABELS) for p in range(partitions)]
    except (KeyError, TypeError):
        raise InvariantError(f"Spark's offsets {text!r} lack a partition") from None


def planned_ends(checkpoint: Path, batch_id: int, partitions: int) -> list[int]:
    """The offsets after the last of a batch, by source, as Spark noted them before it began the batch.

    Raises:
        InvariantError: the note is not there, or is not one of this log.
    """
    note = checkpoint / "offsets" / str(batch_id)
    try:
        lines = note.read_text().splitlines()
    except OSError as error:
        raise InvariantError(f"{note}: Spark's note of the batch cannot be read: {error.strerror}") from None
    return offsets_of(lines[-1], partitions)
