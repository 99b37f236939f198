"""Record headers: their names, and reading them. Kafka hands headers over as (name, bytes) pairs."""

from collections.abc import Iterable
from typing import Final

SEGMENT: Final = "segment"
"""Number of the clock segment in force when the record was made."""
ORDINAL: Final = "ordinal"
"""Place of the record in its source's sequence for this topic, from 0."""
SOURCE: Final = "source"
"""Name of the seeded or file-ordered sequence the record comes from."""
DECISION: Final = "decision"
"""The decision that HTTP already gave, JSON."""
RECEIVED: Final = "received_at_ms"
"""Wall-clock time at which HTTP accepted the transaction, ms: it stands for the broker's timestamp."""

Headers = Iterable[tuple[str, bytes]]


def header(headers: Headers, name: str) -> bytes | None:
    """The first header of that name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def int_header(headers: Headers, name: str) -> int | None:
    """The first header of that name as a non-negative integer; None if absent or not a number."""
    value = header(headers, name)
    if value is None or not value.isdigit() or len(value) > 18:
        return None
    return int(value)


def encode_int(value: int) -> bytes:
    return str(value).encode()
