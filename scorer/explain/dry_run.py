"""A dry run: another policy's choices on an archived run, with the same transactions, features and scores."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import read_log
from fraudsim.log.events import ACTIONS, Action, Transaction
from fraudsim.log.topics import LABELS
from model.training.label_knowledge import EVENTUALLY, LabelKnowledge
from producers.labels.consequences import Consequences
from producers.labels.outcome import DecidedPayment
from producers.ledger.account import Basis
from producers.ledger.book import Posting, entries_of
from producers.ledger.entry import Fraud
from producers.ledger.ledger import Ledger, ledger_of
from scorer.explain.archived_decisions import ArchivedDecision, Manifests
from scorer.policy.policy import Choice, Limit, Limits, Policy
from scorer.policy.quota import LocalQuota, limits_of_arm, reserve_quota
from scorer.policy.rules import RuleError, RuleInput
from stream_features.catalogue.features import DAY


@dataclass(slots=True)
class Transition:
    """Transactions that changed from one action to another."""

    count: int = 0
    cents: int = 0
    known_frauds: int = 0
    fraud_cents: int = 0


def decide_again(policy: Policy, decisions: Sequence[ArchivedDecision], manifests: Manifests) -> list[Choice]:
    """The policy's choice on each decision, in the order they were made, with unused daily quotas."""
    return asyncio.run(_decide_again(policy, decisions, manifests))


async def _decide_again(
    policy: Policy, decisions: Sequence[ArchivedDecision], manifests: Manifests
) -> list[Choice]:
    quota, choices = LocalQuota(), []
    for decision in decisions:
        arm = decision.arm
        limits, name = limits_of_arm(policy.limits, arm), arm.arm if arm else ""

        async def reserve(
            limit: Limit, day: int, tx_ids: Sequence[str], limits: Limits = limits, name: str = name
        ) -> list[bool]:
            return await quota.reserve(limits, limit, day, tx_ids, name)

        manifest = manifests.of(decision)
        rule_input = RuleInput(decision.tx, decision.features, decision.score, decision.probability(manifest))
        assessment = policy.assess(
            rule_input, decision.variant, decision.thresholds(manifest), _raise, decision.block
        )
        quota.count_decided(decision.tx.ts // DAY, 1, name)
        await reserve_quota(policy, [(decision.tx, assessment)], reserve)
        choices.append(policy.choose(decision.tx, assessment))
    return choices


def _raise(file: str, error: RuleError) -> None:
    raise error


def known_frauds(run_dir: Path, transactions: Iterable[Transaction]) -> set[str]:
    """tx_ids whose last label of the run says fraud. Declined ones have no label: nobody reports them."""
    labels = read_log(run_dir, LABELS, ["tx_id", "source", "known_at", "is_fraud", "error"])
    labels = labels.filter(pc.is_null(labels["error"]))
    ids = [tx.tx_id for tx in transactions]
    fraud = LabelKnowledge.of(pa.table({"tx_id": ids}), labels).fraud_known_by(EVENTUALLY)
    return {tx_id for tx_id, is_fraud in zip(ids, fraud.tolist(), strict=True) if is_fraud}


def labelled_ledgers(
    run_dir: Path,
    decisions: Sequence[ArchivedDecision],
    choices: Sequence[Choice],
    consequences: tuple[Consequences, int],
) -> tuple[Ledger, Ledger]:
    """What was decided and what the choices would have come to, as far as labels tell.

    Of a payment that was stopped and has no label nobody knows whether it was fraud. One that went through
    without a label of fraud counts as honest.

    Args:
        consequences: rules and seed of the run.
    """
    labels = read_log(run_dir, LABELS, ["tx_id", "source", "known_at", "is_fraud", "error"])
    labels = labels.filter(pc.is_null(labels["error"]))
    labelled = set(labels["tx_id"].to_pylist())
    frauds = known_frauds(run_dir, (decision.tx for decision in decisions))
    rules, seed = consequences
    cards = len({decision.tx.card_id for decision in decisions})
    times = [decision.tx.ts for decision in decisions]
    basis = Basis(cards, max(times) - min(times) + 1)
    before = [_payment(item, item.action, item.row["rule_hits"] or []) for item in decisions]
    after = [_payment(item, c.action, c.rule_hits) for item, c in zip(decisions, choices, strict=True)]
    reviewed = _verdict_times(labels)
    ledgers = []
    for payments, verdicts in ((before, reviewed), (after, {})):
        postings = [
            Posting(
                payment,
                Fraud() if payment.tx_id in frauds else None,
                was.action in ("approve", "review") or payment.tx_id in labelled,
            )
            for payment, was in zip(payments, before, strict=True)
        ]
        ledgers.append(ledger_of(entries_of(postings, rules, seed, verdicts), basis, "labels"))
    return ledgers[0], ledgers[1]


def _payment(item: ArchivedDecision, action: Action, rule_hits: list[str]) -> DecidedPayment:
    return DecidedPayment(
        tx_id=item.tx.tx_id,
        ts=item.tx.ts,
        card_id=item.tx.card_id,
        amount_cents=item.tx.amount_cents,
        action=action,
        score=item.score,
        merchant_id=item.tx.merchant_id,
        channel=item.tx.channel,
        rule_hits=rule_hits,
        assignment=item.arm,
    )


def _verdict_times(labels: pa.Table) -> dict[str, int]:
    """Event times of analysts' first verdicts, by transaction."""
    verdicts = labels.filter(pc.equal(labels["source"], "analyst"))
    first = verdicts.group_by("tx_id").aggregate([("known_at", "min")])
    return dict(zip(first["tx_id"].to_pylist(), first["known_at_min"].to_pylist(), strict=True))


def transitions(
    decisions: Sequence[ArchivedDecision], choices: Sequence[Choice], frauds: set[str]
) -> dict[tuple[Action, Action], Transition]:
    """By (action before, action now), from mild to strict."""
    by_actions: defaultdict[tuple[Action, Action], Transition] = defaultdict(Transition)
    for decision, choice in zip(decisions, choices, strict=True):
        transition = by_actions[decision.action, choice.action]
        transition.count += 1
        transition.cents += decision.tx.amount_cents
        if decision.tx.tx_id in frauds:
            transition.known_frauds += 1
            transition.fraud_cents += decision.tx.amount_cents
    ordered = sorted(by_actions, key=lambda pair: [ACTIONS.index(action) for action in pair])
    return {pair: by_actions[pair] for pair in ordered}
