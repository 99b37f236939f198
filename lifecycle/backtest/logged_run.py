"""A run's decisions as the off-policy estimate takes them: what was logged, and what B would do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from fraudsim.archive.log_files import read_log
from fraudsim.arrays import Doubles, Flags
from fraudsim.errors import FraudsimError
from fraudsim.log.topics import LABELS
from lifecycle.backtest.off_policy import LoggedDecisions
from model.artefact.costs import Costs, expected_costs
from model.artefact.model import Model
from producers.labels.consequences import Consequences
from producers.labels.outcome import CARD_NOT_PRESENT
from scorer.explain.archived_decisions import ArchivedDecision, read_decisions
from scorer.policy.policy import APPROVE, EXPLORED, Choice, Limit, Policy, propensities_of
from scorer.policy.quota import LocalQuota, reserve_quota
from scorer.policy.rules import RuleError, RuleInput
from simulator.line.scoring import run_at_once, scores_of_rows
from stream_features.catalogue.features import DAY


class LoggedRun(NamedTuple):
    """A run whose champion was A, as far as its decisions are mature."""

    decisions: Sequence[ArchivedDecision]
    choices: Sequence[Choice]
    """B's, in the same order."""
    scores: Doubles
    """B's."""
    table: LoggedDecisions
    cards: int
    weeks: float
    too_young: int
    """Decisions left out: their labels may still come."""
    end_ms: int


def read_logged_run(
    run_dir: Path, a: Model, b: Model, policy: Policy, rules: Consequences, maturity_days: float
) -> LoggedRun:
    """Read a run that A has decided, and decide it again by B.

    Raises:
        FraudsimError: the run has no decisions of A, or none is old enough, or B gives no number as a score.
    """
    everything = [item for item in read_decisions(run_dir) if not item.row["degraded"]]
    decisions = [item for item in everything if item.row["model_version"] == a.version]
    if not decisions:
        versions = sorted({item.row["model_version"] for item in everything}) or ["none"]
        raise FraudsimError(
            f"backtest: run {run_dir} was decided by {', '.join(versions)}, not by A ({a.version}); "
            "name the model that decided first"
        )
    end_ms = max(item.tx.ts for item in decisions)
    mature = [item for item in decisions if item.tx.ts <= end_ms - maturity_days * DAY]
    if not mature:
        raise FraudsimError(
            f"backtest: run {run_dir} has no decision older than --maturity {maturity_days:g} days; "
            "take a longer run, or give less"
        )
    vectors = np.stack([item.features for item in mature])
    scores = scores_of_rows(b.serving, vectors).astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(scores))
    if wrong.size:
        raise FraudsimError(
            f"model {b.version} scores {scores[wrong[0]]!r} on transaction {mature[wrong[0]].tx.tx_id} and "
            f"{wrong.size - 1:,} others: a score is a number from 0 to 1; train it again"
        )
    choices = _choices(policy, mature, scores, b)
    table = _table(run_dir, mature, choices, rules)
    times = [item.tx.ts for item in mature]
    return LoggedRun(
        mature, choices, scores, table, len({item.tx.card_id for item in mature}),
        (max(times) - min(times) + 1) / (7 * DAY), len(decisions) - len(mature), end_ms,
    )  # fmt: skip


def _choices(
    policy: Policy, decisions: Sequence[ArchivedDecision], scores: Doubles, b: Model
) -> list[Choice]:
    quota, calibration, choices = LocalQuota(), b.manifest.to_probability, []

    async def reserve(limit: Limit, day: int, tx_ids: Sequence[str]) -> list[bool]:
        return await quota.reserve(policy.limits, limit, day, tx_ids)

    for decision, score in zip(decisions, scores.tolist(), strict=True):
        rule_input = RuleInput(decision.tx, decision.features, score, calibration.probability(score))
        assessment = policy.assess(rule_input, "champion", b.thresholds, _raise, decision.block)
        if policy.limited:
            quota.count_decided(decision.tx.ts // DAY, 1)
            run_at_once(reserve_quota(policy, [(decision.tx, assessment)], reserve))
        choices.append(policy.choose(decision.tx, assessment))
    return choices


def _raise(file: str, error: RuleError) -> None:
    raise error


def logged_propensities(row: Mapping[str, Any]) -> Sequence[float]:
    """The probability of each action; of runs that did not log them, by the weight that they logged."""
    recorded: list[float] | None = row.get("propensities")
    if recorded:
        return recorded
    return propensities_of(row["action"], row["weight"] or 1.0, EXPLORED in (row["held_back"] or []))


def _table(
    run_dir: Path, decisions: Sequence[ArchivedDecision], choices: Sequence[Choice], rules: Consequences
) -> LoggedDecisions:
    says_fraud = _labels(run_dir)
    logged = np.array([logged_propensities(item.row) for item in decisions])
    went_through = np.array([item.action in ("approve", "review") for item in decisions])
    labelled: Flags = went_through | np.array([item.tx.tx_id in says_fraud for item in decisions])
    # Where chance had no part, an action is certain, and its label comes or does not come by itself.
    weight = np.where(went_through, 1 / np.maximum(logged[:, APPROVE], 1e-12), 1.0)
    weight[logged[:, APPROVE] == 0] = 1.0
    card: dict[str, int] = {}
    if_fraud, if_honest = _costs(decisions, rules)
    return LoggedDecisions(
        card=np.array([card.setdefault(item.tx.card_id, len(card)) for item in decisions], np.int64),
        logged=logged,
        other=np.array([choice.propensities for choice in choices]),
        labelled=labelled,
        weight=weight,
        supported=labelled | (logged[:, APPROVE] > 0),
        is_fraud=np.array([says_fraud.get(item.tx.tx_id, False) for item in decisions]),
        cost_if_fraud=if_fraud,
        cost_if_honest=if_honest,
    )


def _labels(run_dir: Path) -> dict[str, bool]:
    """What the latest label of each transaction says."""
    labels = read_log(run_dir, LABELS, ["tx_id", "known_at", "is_fraud", "error"])
    labels = labels.filter(pc.is_null(labels["error"])).sort_by("known_at")
    return dict(zip(labels["tx_id"].to_pylist(), labels["is_fraud"].to_pylist(), strict=True))


def _costs(decisions: Sequence[ArchivedDecision], rules: Consequences) -> tuple[Doubles, Doubles]:
    """Expected cents of each action if a payment is fraud, and if it is honest; shape (n, 4) each."""
    amount = np.array([item.tx.amount_cents for item in decisions], np.float64)
    can_hold = np.array([float(item.tx.channel in CARD_NOT_PRESENT) for item in decisions])
    costs = Costs.of(rules)
    tables = []
    for probability in (1.0, 0.0):
        actions = expected_costs(amount, np.full(len(amount), probability), can_hold, costs)
        tables.append(np.stack(actions, axis=1))
    return tables[0], tables[1]
