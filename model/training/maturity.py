"""Label maturity: which share of frauds is known some time after the transaction, by source. Pure.

From labels alone, as they are known at a time: a recent fraud is seen only if its label came quickly, so its
delays are truncated on the right, and a plain histogram of delays would be too optimistic. The estimate is
the non-parametric one of maximum likelihood for right truncation (Lagakos, Barraj and De Gruttola 1988; in
insurance, chain ladder): with h(d) the share of delays of d days among those of at most d days of
transactions at least d days old, F(d) = Π_{s > d} (1 - h(s)). It knows nothing beyond the longest delay that
it has seen, nor of frauds that nobody ever reports.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Flags, Ints
from model.training.label_knowledge import SOURCES, LabelKnowledge
from stream_features.catalogue.features import DAY

HORIZONS_DAYS: Final = (1, 7, 30, 90)
ANY: Final = "any"
"""The curve of all sources together."""


@dataclass(frozen=True, eq=False)
class MaturityCurve:
    """Share of the frauds of a source that is known by the age of the transaction."""

    known_share: Doubles
    """`known_share[d]`: within d + 1 days, for d from 0; the last is 1; shape (days,), at least (1,)."""
    frauds: int
    """From which it was estimated."""

    def after(self, age_ms: Ints) -> Doubles:
        """The share at each age, ms, linear within a day; 0 at an age of 0, 1 beyond the longest delay."""
        days = np.asarray(age_ms, np.float64) / DAY
        return np.interp(days, np.arange(len(self.known_share) + 1), [0.0, *self.known_share])


@dataclass(frozen=True, eq=False)
class RecentRate:
    """The frauds of a span of event time, as known and as estimated when all labels will be there."""

    from_ms: int
    transactions: int
    known_frauds: int
    known_share: float
    """The share that is estimated to be known by now."""

    @property
    def known_rate(self) -> float:
        return self.known_frauds / self.transactions if self.transactions else float("nan")

    @property
    def mature_rate(self) -> float:
        """The known rate over the share that is known; nan where none of it can be."""
        return self.known_rate / self.known_share if self.known_share > 0 else float("nan")


def maturity_curves(ts: Ints, knowledge: LabelKnowledge, time_ms: int) -> dict[str, MaturityCurve]:
    """The curve of each source that has reported frauds known by a time, and of `ANY`.

    Args:
        ts: event times of the transactions, ms, shape (n,).
        time_ms: labels with known_at < `time_ms` are seen.
    """
    rows, known_at, ranks = _first_reports(ts, knowledge, time_ms)
    delay, age = (known_at - ts[rows]) // DAY, (time_ms - ts[rows]) // DAY
    groups = {ANY: np.ones(len(rows), np.bool_)}
    groups |= {name: ranks == rank for rank, name in enumerate(SOURCES)}
    return {
        name: MaturityCurve(_known_share(delay[group], age[group]), int(group.sum()))
        for name, group in groups.items()
        if group.any()
    }


def recent_rates(
    ts: Ints, knowledge: LabelKnowledge, time_ms: int, days: int, spans: int
) -> list[RecentRate]:
    """The fraud rates of the last `spans` spans of `days` days before a time, oldest first."""
    curve = maturity_curves(ts, knowledge, time_ms).get(ANY)
    fraud = knowledge.fraud_known_by(time_ms)
    rates = []
    for number in range(spans, 0, -1):
        from_ms = time_ms - number * days * DAY
        rows = (ts >= from_ms) & (ts < from_ms + days * DAY)
        rates.append(
            RecentRate(
                from_ms=from_ms,
                transactions=int(rows.sum()),
                known_frauds=int(fraud[rows].sum()),
                known_share=expected_known_share(curve, ts[rows], time_ms),
            )
        )
    return rates


def expected_known_share(curve: MaturityCurve | None, ts: Ints, time_ms: int) -> float:
    """The share of the frauds among transactions that is known by a time, if frauds are spread as they are.

    0 without a curve or without transactions.
    """
    if curve is None or not len(ts):
        return 0.0
    return float(curve.after(time_ms - ts).mean())


def _first_reports(ts: Ints, knowledge: LabelKnowledge, time_ms: int) -> tuple[Ints, Ints, Ints]:
    """Row, time and source rank of the first fraud label of each transaction that is a known fraud."""
    fraud: Flags = knowledge.fraud_known_by(time_ms)
    seen = (knowledge.known_at < time_ms) & knowledge.says_fraud & fraud[knowledge.rows]
    seen &= knowledge.known_at >= ts[knowledge.rows]
    rows, first = np.unique(knowledge.rows[seen], return_index=True)  # the labels are in order of time
    return rows, knowledge.known_at[seen][first], knowledge.ranks[seen][first]


def _known_share(delay: Ints, age: Ints) -> Doubles:
    """F(d) for d from 0 to the longest delay, from delays and ages of transactions in whole days."""
    longest = int(delay.max())
    at = np.bincount(delay, minlength=longest + 1).astype(np.float64)
    # Of delay at most d and age at least d: all of delay at most d without those younger than d.
    up_to = np.cumsum(at)
    younger = np.cumsum(np.bincount(np.minimum(age, longest), minlength=longest + 1))
    at_risk = up_to - np.concatenate([[0], younger[:-1]])
    hazard = np.divide(at, at_risk, out=np.zeros_like(at), where=at_risk > 0)
    share = np.ones(longest + 1)
    share[:-1] = np.cumprod(1 - hazard[:0:-1])[::-1]
    return share
