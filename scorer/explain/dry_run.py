"""What another policy would have decided on an archived run: on equal transactions, features and scores."""

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
from scorer.explain.archived_decisions import Decided, Manifests
from scorer.policy.policy import Choice, Limit, Policy
from scorer.policy.quota import LocalQuota, hold_places
from scorer.policy.rules import RuleError
from stream_features.catalogue.features import DAY


@dataclass(slots=True)
class Transition:
    """Transactions that went from one action to another."""

    count: int = 0
    cents: int = 0
    known_frauds: int = 0
    fraud_cents: int = 0


def decide_again(policy: Policy, decided: Sequence[Decided], manifests: Manifests) -> list[Choice]:
    """The policy's choice on each, in the order they were made, with limits that begin empty."""
    return asyncio.run(_decide_again(policy, decided, manifests))


async def _decide_again(policy: Policy, decided: Sequence[Decided], manifests: Manifests) -> list[Choice]:
    places, choices = LocalQuota(), []

    async def take(limit: Limit, day: int, tx_ids: Sequence[str]) -> list[bool]:
        return await places.take(policy.limits, limit, day, tx_ids)

    for each in decided:
        manifest = manifests.of(each)
        opinion = policy.consider(
            each.tx, each.features, each.score, each.probability(manifest), each.variant,
            each.thresholds(manifest), _raise,
        )  # fmt: skip
        places.decided(each.tx.ts // DAY, 1)
        await hold_places(policy, [(each.tx, opinion)], take)
        choices.append(policy.conclude(each.tx, opinion))
    return choices


def _raise(file: str, error: RuleError) -> None:
    raise error


def known_frauds(run_dir: Path, transactions: Iterable[Transaction]) -> set[str]:
    """tx_ids of which the run's last label says fraud. What was declined has none: nobody reports it."""
    labels = read_log(run_dir, LABELS, ["tx_id", "source", "known_at", "is_fraud", "error"])
    labels = labels.filter(pc.is_null(labels["error"]))
    ids = [tx.tx_id for tx in transactions]
    fraud = LabelKnowledge.of(pa.table({"tx_id": ids}), labels).fraud_known_by(EVENTUALLY)
    return {tx_id for tx_id, is_fraud in zip(ids, fraud.tolist(), strict=True) if is_fraud}


def transitions(
    decided: Sequence[Decided], choices: Sequence[Choice], frauds: set[str]
) -> dict[tuple[Action, Action], Transition]:
    """By (action before, action now), from mild to strict."""
    found: defaultdict[tuple[Action, Action], Transition] = defaultdict(Transition)
    for each, choice in zip(decided, choices, strict=True):
        of = found[each.action, choice.action]
        of.count += 1
        of.cents += each.tx.amount_cents
        if each.tx.tx_id in frauds:
            of.known_frauds += 1
            of.fraud_cents += each.tx.amount_cents
    return {pair: found[pair] for pair in sorted(found, key=lambda p: [ACTIONS.index(a) for a in p])}
