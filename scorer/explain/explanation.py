"""The explanation of one archived decision, as lines of text. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime

from fraudsim.log.events import ACTIONS
from model.artefact.costs import expected_costs
from model.artefact.manifest import Manifest
from producers.labels.outcome import CARD_NOT_PRESENT
from scorer.explain.archived_decisions import ArchivedDecision
from scorer.policy.costs import cut_offs
from scorer.policy.policy import ByExpectedCost, Policy
from scorer.policy.rules import RuleError, RuleInput
from stream_features.catalogue.features import NAMES
from stream_features.catalogue.reason_text import sentences
from stream_features.vector import as_list


def explain(decision: ArchivedDecision, manifest: Manifest, policy: Policy | None) -> Iterator[str]:
    """Lines for a terminal; `policy` has the decision's policy version, None where that is missing."""
    tx, row = decision.tx, decision.row
    when = datetime.fromtimestamp(tx.ts / 1000, UTC).isoformat(" ", "milliseconds")
    yield f"transaction {tx.tx_id}: {_money(tx.amount_cents)}, card {tx.card_id}, {when} event time"
    yield f"  {_fields(tx)}"
    marks = [name for name in ("stale", "degraded", "uncertain") if row[name]]
    yield f"action      {decision.action}" + (f"  [{', '.join(marks)}]" if marks else "")
    probability = decision.probability(manifest)
    yield f"score       {decision.score:.6f}, calibrated probability of fraud {probability:.6f}"
    yield f"model       {row['model_version']} ({row['variant']})"
    if row["model_version"] != manifest.version:
        yield f"            the run's folder holds {manifest.version}: thresholds and calibration are its"
    yield f"policy      {row['policy_version']}"
    reasons = sentences(row["reasons"], as_list(decision.features))
    yield f"reasons     {reasons[0] if reasons else '-'}"
    yield from (f"            {reason}" for reason in reasons[1:])
    if decision.block is not None:
        block = decision.block
        until = datetime.fromtimestamp(block.until_ms / 1000, UTC).isoformat(" ", "milliseconds")
        yield f"blocked     until {until} by the {block.source}'s word on {block.tx_id}"
    yield f"rules hit   {', '.join(row['rule_hits']) or '-'}"
    if row["held_back"]:
        yield f"held back   {', '.join(row['held_back'])}"
    if (row["weight"] or 1.0) != 1.0:
        yield f"weight      {row['weight']:g}: exploration gave the action a chance of {1 / row['weight']:g}"
    if policy is None:
        yield "costs       the policy of that version is not in the run's folder: name it by --policy"
    else:
        yield from _policy_lines(decision, manifest, probability, policy)
    yield "features"
    for name, value in zip(NAMES, as_list(decision.features), strict=True):
        yield f"  {name:24} {'-' if value is None else f'{value:.6g}'}"


def _policy_lines(
    decision: ArchivedDecision, manifest: Manifest, probability: float, policy: Policy
) -> Iterator[str]:
    tx = decision.tx
    rule_input = RuleInput(tx, decision.features, decision.score, probability)
    for rules in policy.rules:
        try:
            hits = rules.hits(rule_input)
        except RuleError as error:
            yield f"  {rules.name} could not be evaluated: {error}"
            continue
        for hit in hits:
            values = ", ".join(f"{column}={value}" for column, value in rules.values(rule_input).items())
            yield f"  {hit.name} asks for {hit.action} at least: {values} ({rules.name})"
    act_by = policy.act_by[decision.variant]
    can_hold = tx.channel in CARD_NOT_PRESENT
    if isinstance(act_by, ByExpectedCost):
        yield "expected cost of each action"
        for action, cents in zip(
            ACTIONS,
            expected_costs(tx.amount_cents, probability, float(can_hold), act_by.costs),
            strict=True,
        ):
            yield f"  {action:10} {cents / 100:12,.2f}"
        steps = [
            f"{ACTIONS[action]} from {start:.6f}"
            for start, action in cut_offs(tx.amount_cents, can_hold, act_by.costs)
        ]
        yield f"least cost by probability, at this amount: {', '.join(steps)}"
    else:
        cuts = act_by.fixed or decision.thresholds(manifest)
        yield (
            f"thresholds of the score: step_up from {cuts.step_up:.6f}, review from {cuts.review:.6f}, "
            f"decline from {cuts.decline:.6f}"
        )


def _money(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02}"


def _fields(tx: object) -> str:
    names = ("channel", "mcc", "country", "currency", "merchant_id", "device_id", "ip")
    return ", ".join(f"{name} {getattr(tx, name)}" for name in names if getattr(tx, name) is not None)
