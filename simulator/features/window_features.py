"""The window features of a stretch under a regime, by the kernels; and again where rows changed."""

from typing import Final

import numpy as np

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.log.events import Transaction
from simulator.features.columns import NOBODY, RowColumns
from simulator.regimes import Regime
from stream_features.catalogue.features import (
    DISTINCT_CAP,
    EXACT,
    FEATURES,
    LABEL_MEMORY,
    LABELLED,
    LONGEST,
    MAX_LABELS,
    MAX_ROWS,
    MINUTE,
    RISK_PRIOR,
    RISK_WEIGHT,
    TAIL_RESOLUTION,
    WINDOWED,
)
from stream_features.kernels.exact import bulk_exact
from stream_features.kernels.state import KIND, LABEL_REACH, LEVELS, NO_LABELS, specification
from stream_features.kernels.tiled import CODES, bulk_tiled

HORIZON_MS: Final = 2 * MINUTE
"""Rows are folded in order of time, so the shortest horizon is enough."""
REACH_MS: Final = LONGEST + max(TAIL_RESOLUTION.values())
"""What lies further back is in no window."""
_LAST_SEEN: Final = ("since_last", "speed")
"""Aggregates that compare with the latest event: short, whatever their window says."""


def _counting(spec: Ints) -> Ints:
    """A specification with counts in place of fraud rates, which are computed from them and the labels."""
    counting = spec.copy()
    counting[counting[:, 0] == CODES["fraud_rate"], 0] = CODES["count"]
    return counting


_SPEC: Final = {
    entity: _counting(specification(entity)) if entity in LABELLED else specification(entity)
    for entity in WINDOWED
}


def live_columns(up_to_ms: int) -> Ints:
    """Indexes of the window features whose windows are at most `up_to_ms` long, shape (n,)."""
    return np.array(
        [
            index
            for index, feature in enumerate(FEATURES)
            if feature.entity in WINDOWED
            and (feature.window_ms <= up_to_ms or feature.aggregate in _LAST_SEEN)
        ],
        np.int64,
    )


class WindowFeatures:
    """Window features of one stretch, from its rows and those before it.

    Of the fraud rates only the transactions of their windows are counted, with the one at hand; see
    `LabelBook`.
    """

    def __init__(
        self, regime: Regime, past: RowColumns, stretch: RowColumns, primed_ms: int | None = None
    ) -> None:
        """
        Args:
            past: the transactions of the last `REACH_MS` and of the regime's longest staleness.
            primed_ms: event time at which a run begins with the state of all before; None for no such time.
        """
        self._regime = regime
        self.columns = past.followed_by(stretch)
        self._first = len(past.ts)
        self.seen_to = regime.seen_to(self.columns.ts)
        if primed_ms is not None:
            self.seen_to = np.maximum(self.seen_to, np.minimum(primed_ms, self.columns.ts))
        self.read_at = self.seen_to if regime.windows == "hopping" else self.columns.ts
        self._active = np.ones(len(self.columns.ts), np.bool_)
        self._orders: dict[str, tuple[Ints, Ints]] = {}
        """By entity, the rows by key and time, and their keys."""
        self._moved: dict[tuple[str, int], list[int]] = {}
        """Rows that came to a key by a change."""

    def fill(self, out: Floats) -> None:
        """Write the window features of every row of the stretch; `out` has shape (n, SIZE)."""
        for entity in WINDOWED:
            keys = self.columns.key(entity)
            order = np.lexsort((self.columns.ts, keys))
            order = order[keys[order] != NOBODY]
            self._orders[entity] = order, keys[order]
            self._read(entity, order, order - self._first, out)

    def _read(self, entity: str, index: Ints, target: Ints, out: Floats) -> None:
        """Read the rows at `index`, by key, into rows `target` of `out`; not where that is negative."""
        if not len(index):
            return
        keys = self.columns.key(entity)[index]
        starts = np.append(np.flatnonzero(np.append(True, keys[1:] != keys[:-1])), len(keys))
        seen_to, read_at = self.seen_to[index], self.read_at[index]
        self._run(entity, (index, target, starts), seen_to, read_at, out)
        if self._regime.live_up_to_ms:
            read = np.flatnonzero(target >= 0)
            live_target = np.full(len(target), -1, np.int64)
            live_target[read] = np.arange(len(read))
            live = np.full((len(read), out.shape[1]), np.nan, np.float32)
            ts = self.columns.ts[index]
            self._run(entity, (index, live_target, starts), ts, ts, live)
            chosen = np.intersect1d(live_columns(self._regime.live_up_to_ms), _SPEC[entity][:, -1])
            out[np.ix_(target[read], chosen)] = live[:, chosen]

    def _run(
        self, entity: str, groups: tuple[Ints, Ints, Ints], seen_to: Ints, read_at: Ints, out: Floats
    ) -> None:
        index, target, starts = groups
        rows, order = self.columns.rows(entity, index), target.copy()
        tumbling = self._regime.windows == "tumbling"
        if entity in EXACT:
            bulk_exact(
                rows, order, starts, seen_to, read_at, _SPEC[entity], MAX_ROWS, tumbling, DISTINCT_CAP, out
            )
            return
        bulk_tiled(
            rows, order, starts, NO_LABELS, np.zeros(len(starts), np.int64), seen_to, read_at, _SPEC[entity],
            LEVELS, KIND[entity], HORIZON_MS, tumbling, DISTINCT_CAP, LABEL_REACH, MAX_LABELS, LABEL_MEMORY,
            RISK_PRIOR, RISK_WEIGHT, out,
        )  # fmt: skip

    def change(self, row: int, tx: Transaction | None, out: Floats) -> Ints:
        """Put another transaction in the place of a row of the stretch, or none; read again what follows.

        Returns the rows of the stretch that were read again, `row` among them unless it is gone.
        """
        index = self._first + row
        old = {entity: int(self.columns.key(entity)[index]) for entity in WINDOWED}
        new = dict.fromkeys(WINDOWED, NOBODY)
        if tx is None:
            self._active[index] = False
        else:
            changed = RowColumns.of_one(tx)
            for values, value in zip(self.columns, changed, strict=True):
                values[index] = value[0]
            new = {entity: int(changed.key(entity)[0]) for entity in WINDOWED}
        read_again: list[Ints] = []
        for entity in WINDOWED:
            if tx is not None and new[entity] != old[entity] and new[entity] != NOBODY:
                self._moved.setdefault((entity, new[entity]), []).append(index)
            for key in {old[entity], new[entity]} - {NOBODY}:
                members = self._members(entity, key)
                target = members - self._first
                target[members < index] = -1
                self._read(entity, members, target, out)
                read_again.append(target[target >= 0])
        return np.unique(np.concatenate(read_again)) if read_again else np.empty(0, np.int64)

    def _members(self, entity: str, key: int) -> Ints:
        """The rows of a key, in order of time."""
        order, keys = self._orders[entity]
        members = order[np.searchsorted(keys, key) : np.searchsorted(keys, key, "right")]
        moved = self._moved.get((entity, key))
        if moved:
            members = np.unique(np.concatenate([members, np.array(moved, np.int64)]))
        members = members[self._active[members] & (self.columns.key(entity)[members] == key)]
        return members[np.argsort(self.columns.ts[members], kind="stable")]

    def past_for(self, start_ms: int) -> RowColumns:
        """The rows that a stretch from `start_ms` on still needs."""
        reach = REACH_MS + self._regime.longest_staleness_ms
        kept: Flags = self._active & (self.columns.ts >= start_ms - reach)
        return self.columns.where(kept)
