"""A backtest on a run's log: what A decided, and what is known of what B would have."""

from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.backtest.logged_run import LoggedRun, read_logged_run
from lifecycle.backtest.off_policy import LoggedDecisions, OffPolicyEstimate, estimate
from lifecycle.backtest.result import BacktestResult, DecisionOfBoth, Fold
from lifecycle.backtest.verdict import gate_of, paired_by_card
from model.artefact.files import current_versions
from model.artefact.model import Model
from producers.ledger.account import WEEK_MS
from runner.ledger.run_ledger import rules_of
from scorer.policy.file import load_policy

EXAMPLES: Final = 12
CANNOT_KNOW: Final = [
    "Whether a stopped payment was fraud, unless exploration let it through or somebody said so.",
    "Insults: a bank does not see them; they are expected costs of stopping what labels call honest.",
    "What fraudsters would have done after another decision: nobody moves on in a log.",
    "Detection by typology: labels name none, and declined frauds have no label.",
    "Features of later payments and merchants' risk stay as A's decisions made them.",
]


def log_backtest(
    run_dir: Path, models: tuple[Model, Model], settings: Settings, maturity_days: float, margin: float
) -> BacktestResult:
    """Estimate off-policy what B would have cost on a run that A decided.

    Raises:
        FraudsimError: the run cannot be read or was not A's, or too little is known of what would differ.
    """
    a, b = models
    rules, _ = rules_of(run_dir, settings)
    policy = load_policy(run_dir / "policy")
    run = read_logged_run(run_dir, a, b, policy, rules, maturity_days)
    versions = {item.row["policy_version"] for item in run.decisions}
    if versions != {policy.version}:
        raise FraudsimError(
            f"backtest: run {run_dir} was decided by policies {', '.join(sorted(versions))}, and its folder "
            f"has {policy.version}; B can only be asked under the policy that decided"
        )
    estimated = estimate(run.table, run.cards, run.weeks)
    loss_of_a = _loss_of_a(run.table) * 1_000 / (run.weeks * run.cards)
    gate = gate_of(estimated.difference, loss_of_a, margin)
    differing, examples = _differing(run)
    return BacktestResult(
        a=a.version,
        b=b.version,
        source=str(run_dir),
        method="off-policy",
        truth=f"not used: labels known by the run's end, of payments {maturity_days:g} days old or more",
        weeks=run.weeks,
        cards=run.cards,
        loss_of_a=loss_of_a,
        difference=estimated.difference,
        margin=margin,
        gate=gate,
        verdict=gate.sentence,
        cannot_know=[*CANNOT_KNOW, _unsupported(estimated), f"{run.too_young:,} decisions were too young."],
        folds=_folds(run),
        differing=differing,
        examples=examples,
        off_policy=estimated,
        versions=current_versions(),
    )


def _unsupported(estimated: OffPolicyEstimate) -> str:
    low, high = estimated.unsupported_cents
    return (
        f"{estimated.unsupported:,} of {estimated.differing:,} differing decisions could never have a label; "
        f"the interval allows for {low / 100:+,.2f} to {high / 100:+,.2f} of them."
    )


def _loss_of_a(table: LoggedDecisions) -> float:
    """Weighted expected cents of what was logged, as far as labels tell."""
    cost = np.where(
        table.is_fraud,
        (table.logged * table.cost_if_fraud).sum(axis=1),
        (table.logged * table.cost_if_honest).sum(axis=1),
    )
    return float((cost * table.weight)[table.labelled].sum())


def _folds(run: LoggedRun) -> list[Fold]:
    """The weeks by what is known of them; nothing is refused here."""
    table = run.table
    change = table.other - table.logged
    by_label = np.where(
        table.is_fraud,
        (change * table.cost_if_fraud).sum(axis=1),
        (change * table.cost_if_honest).sum(axis=1),
    )
    value = np.where(table.labelled, by_label * table.weight, 0.0)
    ts = np.array([item.tx.ts for item in run.decisions])
    week = (ts - ts.min()) // WEEK_MS
    folds = []
    for number in np.unique(week).tolist():
        rows = week == number
        part = LoggedDecisions(
            **{name: getattr(table, name)[rows] for name in LoggedDecisions.__struct_fields__}
        )
        loss_of_a = _loss_of_a(part) * 1_000 / run.cards
        by_card = np.bincount(part.card, weights=value[rows]).astype(np.float64)
        difference = paired_by_card(by_card, 1.0, run.cards)
        folds.append(
            Fold(
                first_ms=int(ts.min()) + number * WEEK_MS,
                loss_of_a=loss_of_a,
                loss_of_b=loss_of_a + difference.mean,
                difference=difference,
                insults_of_a=-1,
                insults_of_b=-1,
            )
        )
    return folds


def _differing(run: LoggedRun) -> tuple[int, list[DecisionOfBoth]]:
    differing = [
        index
        for index, (item, choice) in enumerate(zip(run.decisions, run.choices, strict=True))
        if item.action != choice.action
    ]
    largest = sorted(differing, key=lambda index: -run.decisions[index].tx.amount_cents)[:EXAMPLES]
    return len(differing), [_example(run, index) for index in largest]


def _example(run: LoggedRun, index: int) -> DecisionOfBoth:
    item, choice, table = run.decisions[index], run.choices[index], run.table
    says = "fraud by label" if table.is_fraud[index] else "no report of fraud"
    costs = table.cost_if_fraud[index] if table.is_fraud[index] else table.cost_if_honest[index]
    return DecisionOfBoth(
        tx_id=item.tx.tx_id,
        card_id=item.tx.card_id,
        ts=item.tx.ts,
        amount_cents=item.tx.amount_cents,
        channel=item.tx.channel,
        truth=says if table.labelled[index] else "nobody knows",
        score_of_a=item.score,
        score_of_b=float(run.scores[index]),
        action_of_a=item.action,
        action_of_b=choice.action,
        cents_of_a=float((table.logged[index] * costs).sum()),
        cents_of_b=float((table.other[index] * costs).sum()),
    )
