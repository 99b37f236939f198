"""Separability: how far a column of numbers, or of codes, separates fraud from honest transactions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudsim.arrays import Flags, Ints
from producers.audit.auc import auc, auc_error
from producers.audit.limits import AuditLimits
from producers.audit.report import Check


class SeparationCheck:
    """Makes the checks of columns of one history; every column has one entry per transaction.

    Args:
        fraud: which transactions are fraud.
        limits: the audit's limits.
    """

    def __init__(self, fraud: Flags, limits: AuditLimits) -> None:
        self._fraud, self._limits = fraud, limits
        self._half = len(fraud) // 2

    def number(self, column: str, what: str, values: NDArray[Any], limit: float) -> Check:
        """AUC of the values themselves, whether fraud lies high or low."""
        value = auc(values, self._fraud)
        frauds = int(self._fraud.sum())
        error = auc_error(value, frauds, len(self._fraud) - frauds)
        return self._check(column, what, max(value, 1 - value), limit, error)

    def rate(self, column: str, what: str, codes: NDArray[np.signedinteger], limit: float) -> Check:
        """AUC of the fraud rate by code (from 0), learnt on the first half and scored on the second."""
        early, late = self._fraud[: self._half], self._fraud[self._half :]
        size = int(codes.max()) + 1
        counts = np.bincount(codes[: self._half], minlength=size)
        fraud_counts = np.bincount(codes[: self._half], weights=early, minlength=size)
        rates = (fraud_counts + self._limits.prior * early.mean()) / (counts + self._limits.prior)
        value = auc(rates[codes[self._half :]], late)
        frauds = int(late.sum())
        return self._check(column, what, value, limit, auc_error(value, frauds, len(late) - frauds))

    def ties(self, ts: Ints) -> Check:
        """Whether the order of rows with equal ts tells fraud: the share of pairs whose fraud comes later."""
        what, limit = "row order at equal times", self._limits.artefact
        group = np.cumsum(np.diff(ts, prepend=ts[0] - 1) != 0) - 1
        rows = np.flatnonzero(np.bincount(group)[group] > 1)
        if not len(rows):
            return self._check("ts", what, 0.5, limit, 0.0, "0 of 0 pairs")
        fraud = self._fraud[rows].astype(np.int64)
        honest = np.cumsum(1 - fraud)
        tied_group = group[rows]
        first = np.flatnonzero(np.diff(tied_group, prepend=-1) != 0)
        group_sizes = np.diff(np.append(first, len(rows)))
        start = np.repeat(honest[first] - (1 - fraud[first]), group_sizes)
        last = np.append(first[1:], len(rows)) - 1
        honest_in_group = np.repeat(honest[last], group_sizes) - start
        later = int(((honest - start) * fraud).sum())
        pairs = int((honest_in_group * fraud).sum())
        share = later / pairs if pairs else 0.5
        error = float(0.5 / np.sqrt(pairs)) if pairs else 0.0
        return self._check("ts", what, max(share, 1 - share), limit, error, f"{later} of {pairs} pairs")

    def _check(
        self, column: str, what: str, value: float, limit: float, error: float, note: str = ""
    ) -> Check:
        return Check(
            group="signal",
            of=column,
            what=what,
            value=value,
            bound=limit,
            error=error,
            passed=value - self._limits.sigmas * error <= limit,
            note=note,
        )
