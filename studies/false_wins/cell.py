"""One world and share: its cards drawn again and again into arms, and looked at every day."""

import zlib
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.settings import Settings
from lifecycle.evidence.confidence import (
    ALPHA,
    EARLY_ALPHA,
    detectable,
    detectable_in_stage,
    interval,
    mean_differences,
    stage_interval,
    tuning,
)
from lifecycle.evidence.guards import GROWTH
from lifecycle.evidence.money import CAP_CENTS
from studies.false_wins.pair_losses import PairLosses, pair_losses
from studies.false_wins.plan import (
    ADJUSTED,
    ALL_LOSS,
    CAPPED,
    LIFTS,
    METHODS,
    OF_PAIRS,
    PARTED_ADJUSTED,
    SHARES,
    FalseWinsPlan,
)
from studies.frame.cell_plan import StudyCell

Z975: Final = 1.959964


class MethodTests(msgspec.Struct, frozen=True, kw_only=True):
    """The tests of one world, share and way to look."""

    tests: int
    wins: int
    """Equal arms of which B was told to be better, at any daily look."""
    losses: int
    """… or worse."""
    naive: int
    """Equal arms that a 95 % interval for one look told apart at any of the daily looks."""
    planted_tests: int
    detected: dict[str, int]
    """By planted lift, tests that told B to be better by the last day; of ways to look at all loss only."""
    pair_found: int
    """Of as many tests of the pair, those that told its better arm to be better by the last day."""
    pair_wrong: int
    """… and the worse arm."""
    detectable_share: float
    """Mean minimum detectable effect on the last day of the pair's tests, as a share of A's mean loss."""


class ShareTests(msgspec.Struct, frozen=True, kw_only=True):
    """The tests of one world and share."""

    methods: dict[str, MethodTests]
    coefficient_of_variation: float
    """Of a card's loss under A over all days."""
    pair_lift: float
    """By both lives of all cards, B's loss less A's as a share of A's."""
    parted: float
    """Share of the cards on which the arms parted under A."""
    explained: float
    """Share of the variance of the whole loss that the weeks before predict."""


class Drawn(NamedTuple):
    """The cards of one test, with all of their days."""

    rows: Ints
    in_b: Flags


def run_cell(plan: FalseWinsPlan, cell: StudyCell, settings: Settings, scratch: Path) -> ShareTests:
    """Run the tests of one world and share.

    Raises:
        FraudsimError: its world has no fraud to train on, or a file cannot be written.
    """
    pair = pair_losses(plan, cell.seed, scratch, settings)
    share = SHARES[cell.arm]
    lift = float(pair.b.loss.sum() / pair.a.loss.sum() - 1)
    methods = {}
    for name in METHODS:
        rng = np.random.default_rng([cell.seed, zlib.crc32(cell.arm.encode()), zlib.crc32(name.encode())])
        methods[name] = _tests_of(name, plan, pair, share, lift, rng)
    whole = pair.a.loss.sum(axis=1)
    return ShareTests(
        methods=methods,
        coefficient_of_variation=float(whole.std() / whole.mean()),
        pair_lift=lift,
        parted=float(pair.a.parted.mean()),
        explained=float(1 - adjusted(whole[:, None], pair.a.before).var() / whole.var()),
    )


def _tests_of(
    name: str, plan: FalseWinsPlan, pair: PairLosses, share: float, lift: float, rng: np.random.Generator
) -> MethodTests:
    cards, lived = len(pair.a.loss), _lived(name, pair)
    wins = losses = naive = right = wrong = 0
    for _ in range(plan.tests):
        drawn = _draw(rng, cards, plan.cards, share)
        exchanged = rng.random(plan.cards) < 0.5 if name in OF_PAIRS else None
        looked = looked_at_daily(name, _outcome(lived, drawn, exchanged), drawn.in_b)
        wins += looked.sign < 0
        losses += looked.sign > 0
        naive += looked.naive
    detected = {}
    for planted in LIFTS if name not in OF_PAIRS else ():
        detected[f"{planted:.0%}"] = 0
        for _ in range(plan.planted_tests):
            drawn = _draw(rng, cards, plan.cards, share)
            looked = looked_at_daily(name, _outcome(lived, drawn, None, planted), drawn.in_b)
            detected[f"{planted:.0%}"] += looked.sign < 0
    effects = []
    for _ in range(plan.planted_tests):
        drawn = _draw(rng, cards, plan.cards, share)
        looked = looked_at_daily(name, _outcome(lived, drawn, drawn.in_b), drawn.in_b)
        right += looked.sign * lift > 0
        wrong += looked.sign * lift < 0
        effects.append(looked.detectable)
    weekly = pair.a.loss.sum(axis=1).mean() / (plan.days / 7)
    return MethodTests(
        tests=plan.tests, wins=wins, losses=losses, naive=naive, planted_tests=plan.planted_tests,
        detected=detected, pair_found=right, pair_wrong=wrong,
        detectable_share=float(np.mean(effects) / weekly),
    )  # fmt: skip


def _draw(rng: np.random.Generator, cards: int, drawn: int, share: float) -> Drawn:
    """Cards with replacement, and an arm for each."""
    return Drawn(rng.integers(0, cards, drawn), rng.random(drawn) < share)


class Lived(NamedTuple):
    """What a way to look sees of every card of the world up to each day; cents, shape (cards, days)."""

    name: str
    under_a: Doubles
    under_b: Doubles
    before: Doubles
    """Shape (cards, 3)."""


def _lived(name: str, pair: PairLosses) -> Lived:
    a, b = (life.since if name in OF_PAIRS else life.loss for life in pair)
    return Lived(name, a.cumsum(axis=1), b.cumsum(axis=1), pair.a.before)


def _outcome(lived: Lived, drawn: Drawn, under_b: Flags | None, planted: float = 0.0) -> Doubles:
    """What is seen of each drawn card up to each day, cents, shape (cards, days).

    Args:
        under_b: whether a card lives B's life, shape (cards,); None: none does.
        planted: share by which B's cards lose less.
    """
    outcome = lived.under_a[drawn.rows]
    if under_b is not None:
        outcome[under_b] = lived.under_b[drawn.rows[under_b]]
    if planted:
        outcome[drawn.in_b] *= 1 - planted
    if lived.name == CAPPED:
        return np.minimum(outcome, CAP_CENTS)
    if lived.name in (ADJUSTED, PARTED_ADJUSTED):
        return adjusted(outcome, lived.before[drawn.rows])
    return outcome


def adjusted(outcome: Doubles, before: Doubles) -> Doubles:
    """The outcome less what is predicted by what was known before, by least squares over both arms (CUPED,
    Deng et al. 2013); shapes (cards, days) and (cards, k)."""
    centred = before - before.mean(axis=0)
    spread = centred.std(axis=0)
    scaled = centred[:, spread > 0] / spread[spread > 0]
    coefficients, *_ = np.linalg.lstsq(scaled.T @ scaled, scaled.T @ outcome, rcond=None)
    return outcome - scaled @ coefficients


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What daily looks at one experiment said."""

    sign: int
    """-1: B costs less, 1: more, at the first look that said so; 0: none did."""
    naive: bool
    detectable: float
    """At the last look, cents per card and week."""


def looked_at_daily(name: str, cumulative: Doubles, in_b: Flags) -> Looked:
    """Look every day, as the controller does.

    Args:
        cumulative: outcome of each card up to each day, cents, shape (cards, days).
    """
    mixture, sign, naive, effect = 0.0, 0, False, 0.0
    days = cumulative.shape[1]
    weeks = [(day + 1) / 7 for day in range(days)]
    for day, estimate in enumerate(mean_differences(cumulative, in_b, weeks), 1):
        if not 0 < estimate.variance < np.inf:
            continue
        for_ever = name == ALL_LOSS
        alpha = ALPHA if for_ever else EARLY_ALPHA
        mixture = mixture or tuning(GROWTH * estimate.intrinsic_time, alpha)
        if for_ever:
            _, low, high = interval(estimate, mixture, alpha)
            effect = detectable(estimate, 1.0, mixture, alpha)
        else:
            _, low, high = stage_interval(estimate, mixture, day / days)
            effect = detectable_in_stage(estimate, day / days)
        sign = sign or (1 if low > 0 else -1 if high < 0 else 0)
        naive |= abs(estimate.difference) > Z975 * estimate.variance**0.5
    return Looked(sign=sign, naive=naive, detectable=effect)
