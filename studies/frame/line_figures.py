"""What one run of the fast-forward came to: money, work, and the campaigns of each typology."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from producers.ledger.ledger import CampaignAccount, Ledger
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.traffic import Stretch
from simulator.regimes import Regime
from stream_features.offline.columns import column

PARTS: Final = 12
"""Equal parts of a job's staleness, from its duration to duration and period."""


class TypologyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The campaigns of one typology in one run."""

    campaigns: int
    payments: int
    planned_cents: int
    """What its campaigns would take if nothing stopped them: the same in every twin."""
    at_stake_cents: int
    """What they tried to take."""
    paid_cents: int
    first_caught: int
    """Campaigns whose first payment was stopped."""
    stopped: int
    """Campaigns of which a payment was stopped."""
    stop_minutes: float | None
    """Median time from the first payment to the first that was stopped, of those where one was."""


class LineFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    decisions: int
    net_loss_rate: int
    """Cents per 1,000 cards and week."""
    parts: dict[str, int]
    """Cents by kind of cost."""
    insults: int
    review_minutes: float
    flagged: int
    typologies: dict[str, TypologyFigures]
    spans: dict[str, tuple[float, float]]
    """By typology, the median duration of a campaign and the median time between its payments, minutes."""
    staleness_minutes: float
    """Mean age of the state that decisions saw."""
    staleness_parts: list[float]
    """Share of the decisions in each of `PARTS` equal parts of a job's staleness; empty without a job."""


def run_line(
    line: SimulatedLine, regime: Regime, note: Callable[[DecidedStretch], None] | None = None
) -> LineFigures:
    """Run a line to its end; `note` is called with every stretch."""
    planned, staleness = _PlannedCampaigns(), _Staleness(regime)
    decisions = 0
    for decided in line.run():
        decisions += int(decided.present.sum())
        planned.add(decided.stretch)
        staleness.add(decided)
        if note is not None:
            note(decided)
    return _figures(line.ledger, decisions, planned, staleness)


def _figures(
    ledger: Ledger, decisions: int, planned: "_PlannedCampaigns", staleness: "_Staleness"
) -> LineFigures:
    by_typology: dict[str, list[CampaignAccount]] = {}
    for campaign in ledger.campaigns.values():
        by_typology.setdefault(campaign.typology, []).append(campaign)
    total = ledger.total
    typologies = {
        name: _typology_figures(items, planned.cents[name]) for name, items in sorted(by_typology.items())
    }
    return LineFigures(
        decisions=decisions,
        net_loss_rate=ledger.net_loss_rate,
        parts={
            "fraud paid": total.fraud_paid_cents, "insults": total.insult_cents,
            "friction": total.friction_cents, "reviews": total.review_cents,
        },
        insults=total.insults,
        review_minutes=total.review_minutes,
        flagged=total.flagged.count,
        typologies=typologies or _without_campaigns(ledger),
        spans=planned.medians(),
        staleness_minutes=staleness.mean_minutes,
        staleness_parts=staleness.shares,
    )  # fmt: skip


def _typology_figures(campaigns: Sequence[CampaignAccount], planned_cents: int) -> TypologyFigures:
    waits = [item.first_stop_ms - item.first_ms for item in campaigns if item.first_stop_ms is not None]
    return TypologyFigures(
        campaigns=len(campaigns),
        payments=sum(item.account.payments.count for item in campaigns),
        planned_cents=planned_cents,
        at_stake_cents=sum(item.account.at_stake.cents for item in campaigns),
        paid_cents=sum(item.account.paid.cents for item in campaigns),
        first_caught=sum(wait == 0 for wait in waits),
        stopped=len(waits),
        stop_minutes=float(np.median(waits)) / 60_000 if waits else None,
    )


def _without_campaigns(ledger: Ledger) -> dict[str, TypologyFigures]:
    """The frauds of a public file, which does not say which payments belong together."""
    return {
        name: TypologyFigures(
            campaigns=0, payments=account.payments.count, planned_cents=account.at_stake.cents,
            at_stake_cents=account.at_stake.cents, paid_cents=account.paid.cents, first_caught=0, stopped=0,
            stop_minutes=None,
        )
        for name, account in sorted(ledger.by_typology.items())
    }  # fmt: skip


class _Staleness:
    """How old the state was that decisions saw."""

    def __init__(self, regime: Regime) -> None:
        self._regime = regime
        self._sum_ms, self._n = 0.0, 0
        self._counts = np.zeros(PARTS, np.int64)

    def add(self, decided: DecidedStretch) -> None:
        ts = decided.stretch.transactions["ts"].to_numpy()[decided.present]
        age_ms = ts - self._regime.seen_to(ts)
        self._sum_ms += float(age_ms.sum())
        self._n += len(ts)
        if self._regime.period_ms:
            part = (age_ms - self._regime.delay_ms) * PARTS // self._regime.period_ms
            self._counts += np.bincount(part, minlength=PARTS)

    @property
    def mean_minutes(self) -> float:
        return self._sum_ms / max(self._n, 1) / 60_000

    @property
    def shares(self) -> list[float]:
        return (self._counts / max(self._n, 1)).tolist() if self._regime.period_ms else []


class _PlannedCampaigns:
    """The payments that campaigns planned, whatever became of them."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], list[int]] = {}
        self.cents: Counter[str] = Counter()
        """By typology."""

    def add(self, stretch: Stretch) -> None:
        (types, names), (campaigns, ids) = stretch.typology, stretch.campaign
        rows = np.flatnonzero(stretch.is_fraud & (campaigns >= 0) & (types >= 0))
        ts, amounts = (column(stretch.transactions, name) for name in ("ts", "amount_cents"))
        for row in rows.tolist():
            typology, campaign = names[types[row]], ids[campaigns[row]]
            assert typology is not None
            assert campaign is not None
            self._times.setdefault((typology, campaign), []).append(int(ts[row]))
            self.cents[typology] += int(amounts[row])

    def medians(self) -> dict[str, tuple[float, float]]:
        """By typology, minutes: the median duration, and the median time between two payments."""
        durations: dict[str, list[float]] = {}
        gaps: dict[str, list[float]] = {}
        for (typology, _), times in self._times.items():
            durations.setdefault(typology, []).append((max(times) - min(times)) / 60_000)
            gaps.setdefault(typology, []).extend((np.diff(sorted(times)) / 60_000).tolist())
        return {
            name: (float(np.median(values)), float(np.median(gaps[name])) if gaps[name] else 0.0)
            for name, values in sorted(durations.items())
        }
