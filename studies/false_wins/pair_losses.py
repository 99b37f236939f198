"""A world lived twice, under A and under B from a day on: what each card loses on each day of both lives."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fraudsim.arrays import Doubles, Flags, Ints
from fraudsim.settings import Settings
from lifecycle.experiment.both_arms import BothArms
from producers.world.settings import consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import PaymentColumns, Scoring
from simulator.line.split_scoring import SplitScoring
from simulator.regimes import REGIMES
from stream_features.offline.columns import codes
from studies.false_wins.plan import ALERT_SHARES, FalseWinsPlan
from studies.frame.study_world import StudyWorld, study_world

NEVER = np.iinfo(np.int64).max


class Life(NamedTuple):
    """One life of all cards; cents, by the truth, shape (cards, days of the experiment)."""

    loss: Doubles
    since: Doubles
    """Of payments since the arms parted on the card."""
    parted: Flags
    """Whether they did, shape (cards,)."""
    before: Doubles
    """What is known of each card when the experiment begins: net loss, turnover, and what the model expected
    it to lose, in all days before; shape (cards, 3)."""


class PairLosses(NamedTuple):
    """Both lives. Until the first day of the experiment they are one."""

    a: Life
    b: Life


class _FromDay:
    """All cards are B's from a day on; a `CardSplit`."""

    share = 0.0

    def __init__(self) -> None:
        self.begun = False

    def is_challenged(self, card_id: str) -> bool:
        """Whether B decides by now."""
        return self.begun


_SETTINGS: dict[str, Settings] = {}


def pair_losses(plan: FalseWinsPlan, seed: int, scratch: Path, settings: Settings) -> PairLosses:
    """Both lives of a seed's world; those of the last two seeds are kept.

    Raises:
        FraudsimError: the world has no fraud to train on, or a file cannot be written.
    """
    key = settings.model_dump_json()
    _SETTINGS[key] = settings
    return _pair_losses(plan, seed, scratch, key)


@lru_cache(maxsize=2)
def _pair_losses(plan: FalseWinsPlan, seed: int, scratch: Path, settings_json: str) -> PairLosses:
    settings = _SETTINGS[settings_json]
    world = study_world(plan.worlds, seed, settings, scratch)
    return PairLosses(_life(plan, world, settings, under_b=False), _life(plan, world, settings, under_b=True))


def _scoring(world: StudyWorld, settings: Settings, alert_share: float) -> Scoring:
    fitted = world.fit(REGIMES["real-time"], alert_share=alert_share)
    assert fitted is not None
    policy = load_policy(settings.policy or SHIPPED)
    limits = replace(policy.limits, flag_from_probability=fitted.flag_from)
    return Scoring(fitted.arm, replace(policy, limits=limits), "champion")


def _life(plan: FalseWinsPlan, world: StudyWorld, settings: Settings, *, under_b: bool) -> Life:
    a, b = (_scoring(world, settings, share) for share in ALERT_SHARES)
    split, both = _FromDay(), BothArms(a, b)
    traffic = replace(world.traffic, stretch_days=1)
    line = SimulatedLine(
        traffic, REGIMES["real-time"], SplitScoring(a, b, split), consequences(settings), reacting=True
    )
    days_before = traffic.days - plan.days
    parted_at = np.full(traffic.cards, NEVER)
    decided_days, covariates = [], np.zeros((traffic.cards, 3))
    for day, decided in enumerate(line.run()):
        split.begun = under_b and day + 1 >= days_before
        card = card_numbers(decided)
        if day < days_before:
            np.add.at(covariates[:, 1], card, decided.amount * decided.present)
            np.add.at(covariates[:, 2], card, decided.amount * decided.probabilities * decided.present)
        else:
            _part(parted_at, decided, card, both)
        decided_days.append((decided, card))
    shape = (traffic.cards, traffic.days)
    loss, since = np.zeros(shape), np.zeros(shape)
    for day, (decided, card) in enumerate(decided_days):  # once reviews are over
        cents = decided.prices.sum(axis=1)
        parted = decided.stretch.transactions["ts"].to_numpy() >= parted_at[card]
        np.add.at(loss[:, day], card, cents)
        np.add.at(since[:, day], card, cents * parted)
    covariates[:, 0] = loss[:, :days_before].sum(axis=1)
    return Life(loss[:, days_before:], since[:, days_before:], parted_at < NEVER, covariates)


def _part(parted_at: Ints, decided: DecidedStretch, card: Ints, both: BothArms) -> None:
    """Note on which cards the arms part on a day."""
    rows = np.flatnonzero(decided.present)
    columns = PaymentColumns.of(decided.stretch.transactions)
    answers = both.ask(decided.vectors[rows], columns, rows, decided.transaction, decided.blocks)
    ts = decided.stretch.transactions["ts"].to_numpy()[rows[answers.differ]]
    np.minimum.at(parted_at, card[rows[answers.differ]], ts)


def card_numbers(decided: DecidedStretch) -> Ints:
    """The number of each row's card, that of the card it was made with."""
    index, names = codes(decided.stretch.transactions, "card_id")
    number: Ints = np.array([int(str(name)[1:]) for name in names], np.int64)[index]
    for row, tx in decided.changed.items():
        number[row] = int(tx.card_id[1:])
    return number
