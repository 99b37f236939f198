"""What windows cost, counted: states that a payment updates, and values that are kept. Pure.

An engine of windows keeps an aggregate for each window that an event falls into: one where windows tumble,
length / hop where they hop (Flink's and Faust's assigners). An exact engine appends the event to its
entity's rows, which all windows of the entity share.
"""

import numpy as np

from fraudsim.arrays import Ints
from stream_features.catalogue.features import DAY, FEATURES, WINDOWED

KEPT_MS = 30 * DAY
"""The longest window: what an engine must keep."""


def window_lengths() -> dict[str, list[int]]:
    """The lengths of each entity's windows in the catalogue, ms, ascending."""
    return {
        entity: sorted({f.window_ms for f in FEATURES if f.entity == entity and f.window_ms})
        for entity in WINDOWED
    }


def updates_a_payment(hop_ms: int | None, *, tumbling: bool = False) -> int:
    """States that one payment updates: by exact windows, by tumbling ones, or by hopping ones.

    Args:
        hop_ms: None for exact or tumbling windows.
    """
    lengths = window_lengths()
    if tumbling:
        return sum(len(windows) for windows in lengths.values())
    if hop_ms is None:
        return len(lengths)
    return sum(max(1, -(-window // hop_ms)) for windows in lengths.values() for window in windows)


def kept_a_card(ts: Ints, card: Ints, hop_ms: int | None) -> float:
    """Values kept for a card that paid within `KEPT_MS` of the last payment: rows, or panes of a hop."""
    recent = ts >= ts.max() - KEPT_MS
    times, keys = ts[recent], card[recent]
    if hop_ms is None:
        return len(times) / len(np.unique(keys))
    panes = np.unique(np.stack([keys, times // hop_ms]), axis=1).shape[1]
    return panes / len(np.unique(keys))
