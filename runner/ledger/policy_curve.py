"""Net loss against the alert budget: a policy tried on an archived run with ever lower bars for an alert.

An alert budget is a share of payments that may be flagged. Each becomes a bar: the probability of fraud from
which on so many would be flagged. What other payments people would have made, had they been stopped or not,
no single run can tell; twin runs do.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from producers.labels.outcome import DecidedPayment
from producers.ledger.account import Account
from producers.ledger.book import Posting, entries_of
from producers.ledger.ledger import Ledger, ledger_of
from runner.ledger.run_ledger import basis_of, rules_of
from runner.ledger.run_payments import frauds_of
from scorer.explain.archived_decisions import ArchivedDecision, read_decisions, read_manifests
from scorer.explain.dry_run import decide_again
from scorer.policy.policy import Choice, Policy

BUDGETS: Final = (0.0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1)


class CurvePoint(NamedTuple):
    """One bar and what it comes to."""

    name: str
    """The budget, or `as it is` for the policy's own bar."""
    from_probability: float
    ledger: Ledger

    @property
    def alert_share(self) -> float:
        """Alerts as a share of payments; those of blocked cards are none."""
        return share_flagged(self.ledger.total)


def share_flagged(account: Account) -> float:
    """Alerts as a share of payments."""
    return account.flagged.count / account.payments.count if account.payments.count else 0.0


def policy_curve(policy: Policy, run_dir: Path, settings: Settings) -> list[CurvePoint]:
    """The curve, by rising budget; the policy as it is comes last.

    Raises:
        FraudsimError: the folder holds no decisions of a stream, or they are another catalogue's.
    """
    decisions = [item for item in read_decisions(run_dir) if item.row["via"] == "stream"]
    manifests = read_manifests(run_dir)
    if not decisions:
        raise FraudsimError(f"--run {run_dir} holds no decisions of a stream")
    rules, seed = rules_of(run_dir, settings)
    frauds = frauds_of(run_dir)
    probabilities = np.array([item.probability(manifests.of(item)) for item in decisions])
    bars = [(f"{100 * budget:g} %", _bar(probabilities, budget)) for budget in BUDGETS]
    points = []
    for name, bar in [*bars, ("as it is", policy.limits.flag_from_probability)]:
        tried = replace(policy, limits=replace(policy.limits, flag_from_probability=bar))
        payments = _payments(decisions, decide_again(tried, decisions, manifests))
        postings = [Posting(payment, frauds.get(payment.tx_id)) for payment in payments]
        ledger = ledger_of(entries_of(postings, rules, seed), basis_of(run_dir, payments))
        points.append(CurvePoint(name, bar, ledger))
    return points


def _bar(probabilities: np.ndarray, budget: float) -> float:
    """The probability that a share `budget` of all reach; beyond all for a budget of 0."""
    if not budget:
        return float(np.nextafter(1.0, 2.0))
    return float(np.quantile(probabilities, 1 - budget))


def _payments(decisions: Sequence[ArchivedDecision], choices: Sequence[Choice]) -> list[DecidedPayment]:
    """The payments under other choices. A blocked card stays blocked: no policy decided that."""
    return [
        DecidedPayment(
            tx_id=item.tx.tx_id,
            ts=item.tx.ts,
            card_id=item.tx.card_id,
            amount_cents=item.tx.amount_cents,
            action=choice.action,
            score=item.score,
            merchant_id=item.tx.merchant_id,
            channel=item.tx.channel,
            rule_hits=choice.rule_hits,
            assignment=item.arm,
        )
        for item, choice in zip(decisions, choices, strict=True)
    ]
