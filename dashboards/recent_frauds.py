"""Recent fraud by labels, as known and as the label delays let one expect it. Pure.

Labels come late, so the known frauds of recent payments are too few; `MaturityCurve` says which share of the
frauds is known by the age of a payment. Where hardly any can be known yet, no rate is estimated.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Ints
from fraudsim.log.events import Label
from model.training.maturity import MaturityCurve, RecentRate
from stream_features.catalogue.features import DAY
from stream_features.encode import SOURCE_RANK

WINDOWS_DAYS: Final = (1, 7, 30)
LEAST_SHARE: Final = 0.2
"""Below this known share a rate is immature: the estimate would be five times a number of few frauds."""
MAX_LABELLED: Final = 200_000
"""Transactions with labels that are remembered, for a later label may reverse an earlier one."""
HOUR: Final = 3_600_000


@dataclass(frozen=True)
class LabelledFraud:
    """Fraud of the payments of the last days, by the labels so far."""

    days: int
    rate: RecentRate

    @property
    def is_immature(self) -> bool:
        """Whether too little can be known of these payments to estimate their rate."""
        return self.rate.known_share < LEAST_SHARE

    @property
    def mature_rate(self) -> float:
        """What the rate will be when all labels are there; nan while immature."""
        return float("nan") if self.is_immature else self.rate.mature_rate


class RecentFrauds:
    """Counts decided payments and their labels by hours of event time."""

    def __init__(self, curve: MaturityCurve | None) -> None:
        """`curve` is that of all sources; without one everything is immature."""
        self._curve = curve
        self._payments: Counter[int] = Counter()
        self._frauds: Counter[int] = Counter()
        self._latest: OrderedDict[str, tuple[int, int, bool]] = OrderedDict()
        """Of a labelled transaction: known_at, the source's rank, and whether it says fraud."""
        self._now_ms = 0

    def add_payment(self, ts: int) -> None:
        """Add a decided payment by its event time, ms."""
        self._now_ms = max(self._now_ms, ts)
        self._payments[ts // HOUR] += 1
        oldest = self._now_ms // HOUR - max(WINDOWS_DAYS) * 24
        if len(self._payments) > 2 * max(WINDOWS_DAYS) * 24:
            for counter in (self._payments, self._frauds):
                for hour in [hour for hour in counter if hour < oldest]:
                    del counter[hour]

    def add_label(self, label: Label) -> None:
        """Add a label; of several the one known last applies, by the source's rank where they tie."""
        new = (label.known_at, SOURCE_RANK[label.source], label.is_fraud)
        old = self._latest.get(label.tx_id)
        if old is not None and new[:2] < old[:2]:
            return
        self._latest[label.tx_id] = new
        was_fraud = old is not None and old[2]
        self._frauds[label.ts // HOUR] += label.is_fraud - was_fraud
        if len(self._latest) > MAX_LABELLED:
            self._latest.popitem(last=False)

    def rates(self) -> list[LabelledFraud]:
        """Fraud of the last 1, 7 and 30 days of event time, of the hours in which payments were counted."""
        return [LabelledFraud(days, self._rate(days)) for days in WINDOWS_DAYS]

    def _rate(self, days: int) -> RecentRate:
        until = self._now_ms // HOUR + 1
        hours = [hour for hour in self._payments if until - 24 * days <= hour < until]
        counts = np.array([self._payments[hour] for hour in hours], np.int64)
        middle_ms: Ints = np.array(hours, np.int64) * HOUR + HOUR // 2
        known_share = 0.0
        if self._curve is not None and hours:
            shares = self._curve.after(np.maximum(self._now_ms - middle_ms, 0))
            known_share = float(np.average(shares, weights=counts))
        return RecentRate(
            from_ms=self._now_ms - days * DAY,
            transactions=int(counts.sum()),
            known_frauds=sum(self._frauds[hour] for hour in hours),
            known_share=known_share,
        )
