"""The manifest of a history: what its files hold and how they were made."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

LAYOUT_VERSION: Final = 2
SourceName = Literal["world", "handbook", "sparkov", "tabformer", "paysim", "ieee-cis", "cardsim"]
"""The world, or the layout of the public file that a history comes from."""


@dataclass(frozen=True)
class HistoryOrigin:
    """What the rows of a history come from; the fields mean what they mean in `HistoryManifest`."""

    source: SourceName
    version: int
    config: dict[str, Any]
    seed: int
    start_ms: int
    end_ms: int
    cards: int


class HistoryManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `manifest.json`. `seconds` and `tx_per_second` describe the writing, not the content."""

    source: SourceName
    layout_version: int
    version: int
    """Version of the source: equal versions and configurations give equal content."""
    config: dict[str, Any]
    seed: int
    fingerprint: str
    """SHA-256 of the columns' content, 64 hex digits."""
    transactions: int
    labels: int
    cards: int
    """Cards that exist (world) or appear (public file)."""
    days: int
    start_ms: int
    end_ms: int
    """Event time at which the live stream starts."""
    transactions_per_day: float
    """Mean over the history."""
    fraud_rate: float
    """Share of transactions."""
    seconds: float
    tx_per_second: float
