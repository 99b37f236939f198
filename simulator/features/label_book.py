"""Known frauds of merchants: labels as they become known, and the fraud rates that follow from them."""

from typing import Any, Final

import numpy as np
from numba import njit

from fraudsim.arrays import Floats, Ints
from fraudsim.log.events import Label
from simulator.features.columns import NOBODY
from stream_features.catalogue.features import (
    DAY,
    DISTINCT_CAP,
    HEAD,
    LABEL_MEMORY,
    LABELLED,
    MAX_LABELS,
    RISK_PRIOR,
    RISK_WEIGHT,
)
from stream_features.encode import id_hash, label_row
from stream_features.kernels.state import LABEL_REACH, LEVELS, NO_ROWS, State, empty, specification
from stream_features.kernels.tiled import CODES, count_frauds, fold_tiled
from stream_features.kernels.tumbling import tumble

assert tuple(LABELLED) == ("merchant",)
_ALL: Final = specification("merchant")
RATES: Final = np.ascontiguousarray(_ALL[_ALL[:, 0] == CODES["fraud_rate"]])
"""The specification of the fraud rates."""

MAX_SUSPECTS: Final = 1_000_000
"""Beyond, the first is forgotten; years pass until then."""


@njit(cache=True)
def _fill(
    state: Ints,
    rows: Ints,
    seen_to: Ints,
    read_at: Ints,
    counts: Floats,
    spec: Ints,
    tumbling: bool,
    head: int,
    memory_ms: int,
    prior: float,
    weight: float,
    out: Any,
) -> None:
    row_spec = spec.copy()
    for row in rows:
        now = read_at[row]
        if tumbling:
            tumble(spec, row_spec, now)
        high = now // head * head
        memory = high - memory_ms
        frauds = count_frauds(state, row_spec, now, memory, min(high, seen_to[row]))
        incomplete = state[6] >= 0 and memory <= state[6]
        for f in range(row_spec.shape[0]):
            value = np.nan
            if not incomplete:
                column = 0
                while spec[column, 4] != row_spec[f, 4]:
                    column += 1
                value = (frauds[f] + weight * prior) / (counts[row, column] - 1 + weight)
            out[row, row_spec[f, 4]] = value


class LabelBook:
    """The labels of each merchant, and the fraud rates of rows by them."""

    def __init__(self, longest_staleness_ms: int, *, tumbling: bool = False) -> None:
        self._horizon_ms = longest_staleness_ms + 32 * DAY
        """How far behind the newest label a row may be read."""
        self._tumbling = tumbling
        self._states: dict[int, State] = {}
        self._suspects: dict[str, None] = {}
        """Transactions that a label has called fraud, in this order."""

    def add(self, label: Label) -> int:
        """Take in a label; returns the hash of the merchant whose rates may change, `NOBODY` for none."""
        merchant = id_hash(label.merchant_id)
        if label.is_fraud:
            self._suspects[label.tx_id] = None
            if len(self._suspects) > MAX_SUSPECTS:
                del self._suspects[next(iter(self._suspects))]
        elif label.tx_id not in self._suspects:
            return NOBODY  # it was honest before
        if merchant == NOBODY:
            return merchant
        state = self._states.get(merchant)
        if state is None:
            state = empty("merchant")
        row = np.array([label_row(label)], np.int64)
        self._states[merchant] = fold_tiled(
            state, NO_ROWS["merchant"], row, LEVELS, self._horizon_ms, DISTINCT_CAP, LABEL_REACH, MAX_LABELS
        )
        return merchant

    def __contains__(self, merchant: int) -> bool:
        return merchant in self._states

    def fill(
        self, merchant: int, rows: Ints, seen_to: Ints, read_at: Ints, counts: Floats, out: Floats
    ) -> None:
        """Write the fraud rates of a merchant's rows.

        Args:
            rows: indexes into the arrays that follow, shape (m,).
            counts: transactions of the window of each rate, with the one at hand, shape (n, rates).
            out: shape (n, SIZE).
        """
        state = self._states.get(merchant)
        if state is None:
            state = empty("merchant")
        _fill(
            state, rows, seen_to, read_at, counts, RATES, self._tumbling, HEAD, LABEL_MEMORY, RISK_PRIOR,
            RISK_WEIGHT, out,
        )  # fmt: skip
