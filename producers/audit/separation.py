"""How far a column of numbers, or of codes, separates fraud from the honest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from producers.audit.auc import auc, auc_error
from producers.audit.limits import AuditLimits
from producers.audit.report import Check


class SeparationCheck:
    """Turns columns into checks against the same frauds and bounds."""

    def __init__(self, fraud: NDArray[np.bool_], bounds: AuditLimits) -> None:
        self._fraud, self._bounds = fraud, bounds
        self._half = len(fraud) // 2

    def number(self, of: str, what: str, values: NDArray[Any], bound: float) -> Check:
        """Fraud may lie high or low."""
        found = auc(values, self._fraud)
        frauds = int(self._fraud.sum())
        error = auc_error(found, frauds, len(self._fraud) - frauds)
        return self._check(of, what, max(found, 1 - found), bound, error)

    def rate(self, of: str, what: str, codes: NDArray[np.signedinteger], bound: float) -> Check:
        """The fraud rate of each value; codes from 0."""
        early, late = self._fraud[: self._half], self._fraud[self._half :]
        size = int(codes.max()) + 1
        seen = np.bincount(codes[: self._half], minlength=size)
        bad = np.bincount(codes[: self._half], weights=early, minlength=size)
        rates = (bad + self._bounds.prior * early.mean()) / (seen + self._bounds.prior)
        found = auc(rates[codes[self._half :]], late)
        frauds = int(late.sum())
        return self._check(of, what, found, bound, auc_error(found, frauds, len(late) - frauds))

    def ties(self, ts: NDArray[np.int64]) -> Check:
        """Whether the order of rows at one ts tells fraud: the share of pairs whose fraud stands later."""
        group = np.cumsum(np.diff(ts, prepend=ts[0] - 1) != 0) - 1
        rows = np.flatnonzero(np.bincount(group)[group] > 1)
        if not len(rows):
            return self._check("ts", "row order at equal times", 0.5, self._bounds.mark, 0.0, "0 of 0 pairs")
        bad = self._fraud[rows].astype(np.int64)
        honest = np.cumsum(1 - bad)
        where = group[rows]
        first = np.flatnonzero(np.diff(where, prepend=-1) != 0)
        start = np.repeat(honest[first] - (1 - bad[first]), np.diff(np.append(first, len(rows))))
        last = np.append(first[1:], len(rows)) - 1
        total = np.repeat(honest[last], np.diff(np.append(first, len(rows)))) - start
        earlier = int(((honest - start) * bad).sum())
        pairs = int((total * bad).sum())
        found = earlier / pairs if pairs else 0.5
        error = float(0.5 / np.sqrt(pairs)) if pairs else 0.0
        note = f"{earlier} of {pairs} pairs"
        value = max(found, 1 - found)
        return self._check("ts", "row order at equal times", value, self._bounds.mark, error, note)

    def _check(self, of: str, what: str, value: float, bound: float, error: float, note: str = "") -> Check:
        return Check(
            group="signal",
            of=of,
            what=what,
            value=value,
            bound=bound,
            error=error,
            passed=value - self._bounds.sigmas * error <= bound,
            note=note,
        )
