"""Record headers, which Kafka gives as (name, bytes) pairs: their names, and how to read them."""

from collections.abc import Iterable
from typing import Final

from fraudsim.log.decoding import markers

SEGMENT: Final = "segment"
"""Number of the clock segment in force when the record was made."""
ORDINAL: Final = "ordinal"
"""Position of the record in its source's sequence for this topic, from 0."""
SOURCE: Final = "source"
"""Name of the seeded or file-ordered sequence the record comes from."""
DECISION: Final = "decision"
"""The decision that HTTP already gave, JSON."""
RECEIVED: Final = "received_at_ms"
"""Wall-clock time at which HTTP accepted the transaction, ms; its event time is checked against it,
not against the broker's timestamp."""
UNREADABLE_HEADERS: Final = markers.UNREADABLE_HEADERS
OVERSIZED: Final = markers.OVERSIZED

Headers = Iterable[tuple[str, bytes]]


def header(headers: Headers, name: str) -> bytes | None:
    """The value of the first header of that name; None if there is none."""
    for header_name, value in headers:
        if header_name == name:
            return value
    return None


def int_header(headers: Headers, name: str) -> int | None:
    """The first header of that name as an integer of 1 to 18 digits; None if absent or anything else."""
    return int_of(header(headers, name))


def int_of(value: bytes | None) -> int | None:
    """A header's value as an integer of 1 to 18 digits; None if absent or anything else."""
    if value is None or not value.isdigit() or len(value) > 18:
        return None
    return int(value)


def encode_int(value: int) -> bytes:
    return str(value).encode()
