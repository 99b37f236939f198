"""The headers by which a reader of the product says that a record is not as Kafka holds it."""

from typing import Final

UNREADABLE_HEADERS: Final = "unreadable-headers"
"""Replaces all headers of a record in which a header's name is not UTF-8; its value is their bytes."""
OVERSIZED: Final = "oversized"
"""The only header of a record that takes the place of one, or of several, too large to be read; its value
says which, as text. Such a record has neither key nor value."""
