"""The manifest of a history: what its files hold and how they were made."""

from typing import Any, Final, Literal

import msgspec

LAYOUT_VERSION: Final = 2
SourceName = Literal["world", "handbook", "sparkov", "tabformer", "paysim", "ieee-cis", "cardsim"]
"""The world, or the layout of the file that a history comes from."""


class HistoryManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a history is. `seconds` and `tx_per_second` tell how it was made, not what it holds."""

    source: SourceName
    layout_version: int
    version: int
    """Of the source: the same version and configuration give the same content."""
    config: dict[str, Any]
    seed: int
    fingerprint: str
    """SHA-256 of the columns' content, 64 hex digits."""
    transactions: int
    labels: int
    cards: int
    """Cards that exist (world) or appear (a file)."""
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
