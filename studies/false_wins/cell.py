"""One world: its cards' losses by day, drawn again and again, and looked at every day."""

import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from fraudsim.arrays import Doubles, Flags
from fraudsim.settings import Settings
from lifecycle.experiment.confidence import ALPHA, detectable, interval, mean_differences, tuning
from lifecycle.experiment.guards import GROWTH
from producers.world.settings import consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.regimes import REGIMES
from stream_features.catalogue.features import DAY
from stream_features.offline.columns import codes
from studies.false_wins.plan import LIFTS, SHARES, FalseWinsPlan
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import study_world

Z975 = 1.959964


class ShareTests(msgspec.Struct, frozen=True, kw_only=True):
    """The tests of one world and share."""

    tests: int
    wins: int
    """Equal arms of which B was told to be better, at any daily look."""
    losses: int
    """… or worse."""
    naive: int
    """Equal arms that a 95 % interval for one look told apart at any of the daily looks."""
    planted_tests: int
    detected: dict[str, int]
    """By planted lift, tests that told B to be better by the last day."""
    detectable_share: float
    """Mean minimum detectable effect at the end, as a share of the mean loss."""
    coefficient_of_variation: float
    """Of a card's loss over all days."""


@lru_cache(maxsize=2)
def losses_by_day(plan: FalseWinsPlan, seed: int, scratch: Path, settings_json: str) -> Doubles:
    """Net loss of each card by day under one model, by the truth, cents, shape (cards, days)."""
    settings = _SETTINGS[settings_json]
    world = study_world(plan.worlds, seed, settings, scratch)
    fitted = world.fit(REGIMES["real-time"])
    assert fitted is not None
    policy = load_policy(settings.policy or SHIPPED)
    limits = replace(policy.limits, flag_from_probability=fitted.flag_from)
    scoring = Scoring(fitted.arm, replace(policy, limits=limits), "champion")
    traffic = world.traffic
    line = SimulatedLine(traffic, REGIMES["real-time"], scoring, consequences(settings), reacting=True)
    by_day = np.zeros((traffic.cards, traffic.days))
    stretches = list(line.run())
    for decided in stretches:
        index, names = codes(decided.stretch.transactions, "card_id")
        number = np.array([int(str(name)[1:]) for name in names])[index]
        for row, tx in decided.changed.items():
            number[row] = int(tx.card_id[1:])
        day = (decided.stretch.transactions["ts"].to_numpy() - traffic.start_ms) // DAY
        np.add.at(by_day, (number, day), decided.prices.sum(axis=1))
    return by_day


_SETTINGS: dict[str, Settings] = {}


def run_cell(plan: FalseWinsPlan, cell: StudyCell, settings: Settings, scratch: Path) -> ShareTests:
    """Run the tests of one world and share.

    Raises:
        FraudsimError: its world has no fraud to train on, or a file cannot be written.
    """
    key = settings.model_dump_json()
    _SETTINGS[key] = settings
    by_day = losses_by_day(plan, cell.seed, scratch, key)
    cumulative = by_day.cumsum(axis=1)
    rng = np.random.default_rng([cell.seed, zlib.crc32(cell.arm.encode())])
    share = SHARES[cell.arm]
    wins = losses = naive = 0
    effects = []
    for _ in range(plan.tests):
        drawn, in_b = _drawn(rng, cumulative, plan.cards, share)
        looked = looked_at_daily(drawn, in_b)
        wins += looked.sign < 0
        losses += looked.sign > 0
        naive += looked.naive
        effects.append(looked.detectable)
    detected = {}
    for lift in LIFTS:
        detected[f"{lift:.0%}"] = 0
        for _ in range(plan.planted_tests):
            drawn, in_b = _drawn(rng, cumulative, plan.cards, share)
            planted = np.where(in_b[:, None], 1 - lift, 1.0) * drawn
            detected[f"{lift:.0%}"] += looked_at_daily(planted, in_b).sign < 0
    weekly = cumulative[:, -1] / (cumulative.shape[1] / 7)
    return ShareTests(
        tests=plan.tests,
        wins=wins,
        losses=losses,
        naive=naive,
        planted_tests=plan.planted_tests,
        detected=detected,
        detectable_share=float(np.mean(effects) / weekly.mean()),
        coefficient_of_variation=float(weekly.std() / weekly.mean()),
    )


def _drawn(rng: np.random.Generator, cumulative: Doubles, cards: int, share: float) -> tuple[Doubles, Flags]:
    """Cards with replacement, and an arm for each."""
    rows = rng.integers(0, len(cumulative), cards)
    return cumulative[rows], rng.random(cards) < share


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What daily looks at one experiment said."""

    sign: int
    """-1: B costs less, 1: more, at the first look that said so; 0: none did."""
    naive: bool
    detectable: float
    """At the last look, cents per card and week."""


def looked_at_daily(cumulative: Doubles, in_b: Flags) -> Looked:
    """Look every day, as the controller does.

    Args:
        cumulative: net loss of each card up to each day, cents, shape (cards, days).
    """
    mixture, sign, naive, effect = 0.0, 0, False, 0.0
    weeks = [(day + 1) / 7 for day in range(cumulative.shape[1])]
    for estimate in mean_differences(cumulative, in_b, weeks):
        if not 0 < estimate.variance < np.inf:
            continue
        mixture = mixture or tuning(GROWTH * estimate.intrinsic_time)
        _, low, high = interval(estimate, mixture, ALPHA)
        sign = sign or (1 if low > 0 else -1 if high < 0 else 0)
        naive |= abs(estimate.difference) > Z975 * estimate.variance**0.5
        effect = detectable(estimate, 1.0, mixture, ALPHA)
    return Looked(sign=sign, naive=naive, detectable=effect)
