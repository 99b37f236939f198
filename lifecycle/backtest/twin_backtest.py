"""A backtest on a history: both models over the same weeks, each in a world of its own."""

import heapq
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.log.events import ACTIONS
from lifecycle.backtest.replayed_arm import ReplayedArm, replay
from lifecycle.backtest.result import BacktestResult, DecisionOfBoth, Fold, TwinFigures
from lifecycle.backtest.typologies import compare_typologies
from lifecycle.backtest.verdict import Interval, gate_of, paired_by_card
from model.artefact.files import current_versions
from model.artefact.model import Model
from producers.labels.consequences import Consequences
from producers.ledger.account import WEEK_MS
from scorer.models.arms import Arm
from scorer.policy.policy import Policy
from simulator.line.scoring import Scoring, ScoringArm
from simulator.line.traffic import SimulatedTraffic

EXAMPLES: Final = 12
CANNOT_KNOW: Final = [
    "The truth is known because the world is synthetic: a bank has no such backtest.",
    "Cards are taken as independent; frauds that strike many cards at once make intervals too narrow.",
    "Intervals by typology hold one at a time: among twenty typologies one looks changed by chance.",
    "It is one world and one seed: another world may have other frauds.",
    "Honest customers do not try again here, and what a block costs is a stated price, not a measured one.",
]


def twin_backtest(
    traffic: SimulatedTraffic,
    models: tuple[Model, Model],
    policy: Policy,
    rules: Consequences,
    margin: float,
    *,
    reacting: bool,
    on_step: Callable[[str], None] = lambda _: None,
) -> BacktestResult:
    """Run both models over the traffic, and compare them card by card.

    Raises:
        FraudsimError: a model was trained on these weeks, or gives no number as a score.
    """
    arms = []
    for name, model in zip("AB", models, strict=True):
        check_not_seen(name, model, traffic)
        on_step(f"{name} over {traffic.days} days")
        scoring = scoring_of_model(model, policy)
        arms.append(replay(traffic, scoring, rules, reacting=reacting))
    on_step("comparing")
    return compare_arms(arms[0], arms[1], traffic, margin)


def scoring_of_model(model: Model, policy: Policy, variant: str = "champion") -> Scoring:
    """A model as the fast-forward decides by it."""
    arm = Arm.of(model, "champion", challenging=variant == "challenger")
    scoring_arm = ScoringArm(arm.forest, arm.thresholds, arm.calibration, model.version, arm.variant)
    return Scoring(scoring_arm, policy, "champion")


def check_not_seen(name: str, model: Model, traffic: SimulatedTraffic) -> None:
    """Raise FraudsimError if a model was trained on the traffic."""
    trained_ms = model.manifest.test_from_ms
    if trained_ms > traffic.start_ms:
        days = (trained_ms - traffic.start_ms) / 86_400_000
        raise FraudsimError(
            f"model {name} ({model.version}) was trained {days:.1f} days after these weeks begin, and "
            "has seen them; give fewer --weeks, or a model trained before"
        )


def compare_arms(a: ReplayedArm, b: ReplayedArm, traffic: SimulatedTraffic, margin: float) -> BacktestResult:
    """The comparison of two finished runs of one traffic."""
    weeks = traffic.days / 7
    scale = 1_000 / (weeks * traffic.cards)
    by_card = (b.loss - a.loss).sum(axis=1).astype(np.float64)
    difference = paired_by_card(by_card, weeks, traffic.cards)
    loss_of_a = a.total_cents * scale
    gate = gate_of(difference, loss_of_a, margin)
    return BacktestResult(
        a=a.version,
        b=b.version,
        source=str(traffic.history.directory),
        method="twin run",
        truth="known: the world is synthetic" if traffic.world else "by the labels of the public file",
        weeks=weeks,
        cards=traffic.cards,
        loss_of_a=loss_of_a,
        difference=difference,
        margin=margin,
        gate=gate,
        verdict=gate.sentence,
        cannot_know=CANNOT_KNOW,
        folds=list(_folds(a, b, traffic)),
        differing=_differing(a, b),
        examples=_examples(a, b),
        twin=TwinFigures(
            kinds_of_a={kind: int(cents.sum()) * scale for kind, cents in a.by_kind.items()},
            kinds_of_b={kind: int(cents.sum()) * scale for kind, cents in b.by_kind.items()},
            insults_of_a=int(a.insults.sum()),
            insults_of_b=int(b.insults.sum()),
            typologies=compare_typologies(a.typologies, b.typologies, weeks, traffic.cards),
            actions_of_a=a.actions,
            actions_of_b=b.actions,
        ),
        versions=current_versions(),
    )


def _folds(a: ReplayedArm, b: ReplayedArm, traffic: SimulatedTraffic) -> Iterator[Fold]:
    for week in range(a.loss.shape[1]):
        days = min(7, traffic.days - 7 * week)
        scale = 1_000 * 7 / (days * traffic.cards)
        changed = (b.loss[:, week] - a.loss[:, week]).astype(np.float64)
        difference: Interval = paired_by_card(changed, days / 7, traffic.cards)
        yield Fold(
            first_ms=traffic.start_ms + week * WEEK_MS,
            loss_of_a=float(a.loss[:, week].sum()) * scale,
            loss_of_b=float(b.loss[:, week].sum()) * scale,
            difference=difference,
            insults_of_a=int(a.insults[:, week].sum()),
            insults_of_b=int(b.insults[:, week].sum()),
        )


def _differing(a: ReplayedArm, b: ReplayedArm) -> int:
    return sum(
        int(((first.action != second.action) & first.present & second.present).sum())
        for first, second in zip(a.stretches, b.stretches, strict=True)
    )


def _examples(a: ReplayedArm, b: ReplayedArm) -> list[DecisionOfBoth]:
    """The decisions with another action that cost most in one of the worlds."""
    ranked = []
    for number, (first, second) in enumerate(zip(a.stretches, b.stretches, strict=True)):
        rows = np.flatnonzero((first.action != second.action) & first.present & second.present)
        change = np.abs(second.prices[rows].sum(axis=1) - first.prices[rows].sum(axis=1))
        ranked += [(int(cents), number, int(row)) for row, cents in zip(rows, change, strict=True)]
    examples = []
    for _, number, row in heapq.nlargest(EXAMPLES, ranked):
        first, second = a.stretches[number], b.stretches[number]
        tx, fraud = first.transaction(row), first.stretch.fraud(row)
        examples.append(
            DecisionOfBoth(
                tx_id=tx.tx_id,
                card_id=tx.card_id,
                ts=tx.ts,
                amount_cents=tx.amount_cents,
                channel=tx.channel,
                truth=fraud.typology if fraud else "honest",
                score_of_a=float(first.scores[row]),
                score_of_b=float(second.scores[row]),
                action_of_a=ACTIONS[int(first.action[row])],
                action_of_b=ACTIONS[int(second.action[row])],
                cents_of_a=float(first.prices[row].sum()),
                cents_of_b=float(second.prices[row].sum()),
            )
        )
    return examples
