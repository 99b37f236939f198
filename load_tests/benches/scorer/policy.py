"""CPU cost of the policy per transaction, beside two rules in Python and cut-offs of the score.

    python -m load_tests.benches.scorer.policy RUN [turns]

Prints µs per transaction of an archived run, from score to action; both ways take turns in one process.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from fraudsim.log.events import ACTIONS, Action, Transaction
from model.artefact.calibration import Calibration
from model.artefact.files import read_manifest
from model.artefact.manifest import Manifest
from model.artefact.thresholds import Thresholds
from scorer.explain.archived_decisions import ArchivedDecision, read_decisions
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.policy import Choice, Policy, action_for
from scorer.policy.rules import RuleError, RuleInput
from stream_features.catalogue.features import NAMES
from stream_features.kernels.state import Vector

COUNT: Final = NAMES.index("card_count_1m")
SPEED: Final = NAMES.index("card_speed")


class PythonRule(NamedTuple):
    """A rule as a Python function."""

    name: str
    action: Action
    condition: Callable[[Transaction, Vector, float], bool]
    """Of transaction, features and probability of fraud."""


RULES: Final = (
    PythonRule("burst_of_one_card", "review", lambda tx, v, p: float(v[COUNT]) >= 15),
    PythonRule(
        "impossible_travel",
        "step_up",
        lambda tx, v, p: tx.channel in ("pos", "atm") and float(v[SPEED]) > 1_500 and p >= 0.02,
    ),
)


def by_python_rules(decided: ArchivedDecision, thresholds: Thresholds) -> tuple[Action, list[str]]:
    """Two rules in Python, then cut-offs of the score."""
    probability = decided.row["probability"] or 0.0
    hits = [rule for rule in RULES if rule.condition(decided.tx, decided.features, probability)]
    action = action_for(decided.score, thresholds)
    for rule in hits:
        action = max(action, rule.action, key=ACTIONS.index)
    return action, [rule.name for rule in hits]


def _rule_failed(name: str, error: RuleError) -> None:
    raise error


def by_policy(
    decided: ArchivedDecision, policy: Policy, manifest: Manifest, calibrate: Callable[[float], float]
) -> Choice:
    """The policy as the scorer applies it."""
    opinion = policy.assess(
        RuleInput(decided.tx, decided.features, decided.score, calibrate(decided.score)), "champion",
        manifest.thresholds, _rule_failed, decided.block,
    )  # fmt: skip
    return policy.choose(decided.tx, opinion)


def mean_us(action: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Mean time of `action` on an item, µs."""
    started = time.perf_counter()
    for item in items:
        action(item)
    return (time.perf_counter() - started) / len(items) * 1e6


def main(run: Path, turns: int) -> None:
    """Print the figures of a run."""
    manifest, policy = read_manifest(run / "model"), load_policy(SHIPPED)
    decided = list(read_decisions(run))
    rule_inputs = [RuleInput(d.tx, d.features, d.score, d.probability(manifest)) for d in decided]
    evaluated = [item for item in rule_inputs if any(rules.may_hit(item) for rules in policy.rules)]
    calibrate = Calibration(1.1, 0.1).probability
    ways: dict[str, Callable[[ArchivedDecision], object]] = {
        "before": lambda item: by_python_rules(item, manifest.thresholds),
        "now": lambda item: by_policy(item, policy, manifest, calibrate),
    }
    times_us: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            times_us[name].append(mean_us(way, decided))
    evaluation_us = mean_us(policy.rules[0].hits, evaluated) if evaluated else 0.0
    share = len(evaluated) / len(decided)
    print(f"{len(decided):,} transactions; zen evaluates {len(evaluated):,} ({share:.1%})")
    for name, turn_times in times_us.items():
        print(f"{name:7} median {statistics.median(turn_times):6.2f} µs, least {min(turn_times):6.2f}")
    differences = [now - before for before, now in zip(times_us["before"], times_us["now"], strict=True)]
    print(
        f"in pairs: {statistics.median(differences):+.2f} µs a transaction; "
        f"one evaluation by zen {evaluation_us:.1f} µs"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7)
