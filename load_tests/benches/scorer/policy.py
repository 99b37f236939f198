"""What the policy costs a transaction: the one before this, and ours, in turns in one process.

python policy_bench.py RUN [turns]     µs per transaction of an archived run, from score to action
"""

import statistics
import sys
import time
from pathlib import Path

from model.artefact.calibration import Calibration
from model.artefact.files import read_manifest
from model.artefact.thresholds import Thresholds
from scorer.explain.archived_decisions import read_decisions
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.policy import action_for
from scorer.policy.rules import RuleInput
from stream_features.catalogue.features import NAMES

ACTIONS = ("approve", "step_up", "review", "decline")
COUNT, SPEED = NAMES.index("card_count_1m"), NAMES.index("card_speed")
RULES = (
    ("burst_of_one_card", "review", lambda tx, v: float(v[COUNT]) >= 15),
    ("impossible_travel", "step_up", lambda tx, v: tx.channel in ("pos", "atm") and float(v[SPEED]) > 1_500),
)


def before(each, manifest, thresholds: Thresholds):
    """As it was: two rules in Python, cut-offs of the score."""
    hits = [rule for rule in RULES if rule[2](each.tx, each.features)]
    action = action_for(each.score, thresholds)
    for rule in hits:
        action = max(action, rule[1], key=ACTIONS.index)
    return action, [rule[0] for rule in hits]


def now(each, policy, manifest, calibrated):
    probability = calibrated(each.score)
    assessment = policy.assess(
        each.tx, each.features, each.score, probability, "champion", manifest.thresholds, None
    )
    return policy.choose(each.tx, assessment)


def timed(decide, decided):
    started = time.perf_counter()
    for each in decided:
        decide(each)
    return (time.perf_counter() - started) / len(decided) * 1e6


def main(run, turns):
    manifest, policy = read_manifest(run / "model"), load_policy(SHIPPED)
    decided = list(read_decisions(run))
    seen = [RuleInput(each.tx, each.features, each.score, each.probability(manifest)) for each in decided]
    asked = [each for each in seen if any(rules.may_hit(each) for rules in policy.rules)]
    calibrated = Calibration(1.1, 0.1).probability
    ways = {
        "before": lambda each: before(each, manifest, manifest.thresholds),
        "now": lambda each: now(each, policy, manifest, calibrated),
    }
    times = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            times[name].append(timed(way, decided))
    each_us = timed(policy.rules[0].hits, asked) if asked else 0.0
    print(f"{len(decided):,} transactions; zen is asked of {len(asked):,} ({len(asked) / len(decided):.1%})")
    for name, found in times.items():
        print(f"{name:7} median {statistics.median(found):6.2f} µs, least {min(found):6.2f}")
    pairs = [n - b for b, n in zip(times["before"], times["now"], strict=True)]
    print(
        f"in pairs: {statistics.median(pairs):+.2f} µs a transaction; one evaluation by zen {each_us:.1f} µs"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7)
