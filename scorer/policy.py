"""From a score to an action: rules first, then thresholds by expected cost. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fraudsim.events import ACTIONS, Action, Transaction
from model.threshold import Thresholds
from stream_features.catalogue import NAMES
from stream_features.state import Vector

POLICY_VERSION: Final = "1"


@dataclass(frozen=True)
class Rule:
    """A rule raises the action to at least its own; it never lowers one."""

    name: str
    action: Action
    applies: Callable[[Transaction, Vector], bool]


def _feature(name: str) -> Callable[[Vector], float]:
    place = NAMES.index(name)
    return lambda vector: float(vector[place])


_count_1m = _feature("card_count_1m")
_speed = _feature("card_speed")

RULES: Final = (
    Rule("burst_of_one_card", "review", lambda tx, v: _count_1m(v) >= 15),
    Rule(
        "impossible_travel",
        "step_up",
        lambda tx, v: tx.channel in ("pos", "atm") and _speed(v) > 1_500,
    ),
)


def action_for(score: float, thresholds: Thresholds) -> Action:
    """The action of a score alone."""
    if score >= thresholds.decline:
        return "decline"
    if score >= thresholds.review:
        return "review"
    if score >= thresholds.step_up:
        return "step_up"
    return "approve"


def apply_policy(
    tx: Transaction, score: float, vector: Vector, thresholds: Thresholds
) -> tuple[Action, list[str]]:
    """The action, and the names of the rules that hit."""
    hits = [rule for rule in RULES if rule.applies(tx, vector)]
    action = action_for(score, thresholds)
    for rule in hits:
        action = max(action, rule.action, key=ACTIONS.index)
    return action, [rule.name for rule in hits]
