"""One run: a world under all A, all B, an experiment between them, or B's answers to what A decided."""

from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from fraudsim.arrays import Floats, Ints
from fraudsim.settings import Settings
from lifecycle.experiment.both_arms import BothArms
from lifecycle.experiment.card_assignment import CardAssignment
from lifecycle.experiment.replayed_gain import answered_otherwise
from model.artefact.costs import Costs
from model.forest.forest import Forest
from producers.labels.consequences import Consequences
from producers.world.settings import consequences
from scorer.policy.file import SHIPPED, load_policy
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import PaymentColumns, Scoring
from simulator.line.split_scoring import SplitScoring
from simulator.regimes import REGIMES
from stream_features.catalogue.features import NAMES
from stream_features.offline.columns import codes
from studies.frame.cell_plan import StudyCell
from studies.frame.study_world import FittedArm, StudyWorld, study_world
from studies.interference.plan import ALL_A, ALL_B, CONDITIONS, MIRROR, ONE_DESK, REPLAY, InterferencePlan

RISK: Final = [NAMES.index(name) for name in ("merchant_fraud_7d", "merchant_fraud_30d")]
SALT: Final = "interference"


class ArmSums(msgspec.Struct, frozen=True, kw_only=True):
    """One run: money in cents."""

    loss_a: float
    """Net loss of A's cards or days."""
    loss_b: float
    card_weeks_a: float
    card_weeks_b: float
    offline_gain: float = 0.0
    """Of a replay: B less A by the truth, cents per card and week."""
    reviews: int = 0

    @property
    def difference(self) -> float:
        """B less A, cents per card and week."""
        if not self.card_weeks_a or not self.card_weeks_b:
            return 0.0
        return self.loss_b / self.card_weeks_b - self.loss_a / self.card_weeks_a

    @property
    def rate(self) -> float:
        """Cents per card and week of all cards."""
        return (self.loss_a + self.loss_b) / (self.card_weeks_a + self.card_weeks_b)


class BlindForest(NamedTuple):
    """A forest that does not see merchants' risk."""

    forest: Forest

    def predict(self, vectors: Floats) -> Floats:
        """Scores with the risk unknown, shape (n,)."""
        blind = vectors.copy()
        blind[:, RISK] = np.nan
        return self.forest.predict(blind)


class Design:
    """Which cards are B's on a day.

    Args:
        name: of the arm; mirrored, B's are those that were A's.
        city: of each card of the world.
        divided: whether each arm has its own analysts, where both decide at the same time.
    """

    def __init__(self, name: str, city: Ints, *, divided: bool = True) -> None:
        self._divided = divided
        self._region_share = float((city % 2).mean())
        self._mirrored = name.endswith(MIRROR)
        self._name = name.removesuffix(MIRROR)
        self._city = city
        self._by_card = CardAssignment(SALT)
        self._by_card.change_share(0.5)
        self.day = 0

    @property
    def share(self) -> float:
        """B's share of the cards and of the analysts; 0 where these are not divided."""
        if not self._divided or self._name in (ALL_A, ALL_B, REPLAY, "by day"):
            return 0.0
        if self._name == "by region":
            return 1 - self._region_share if self._mirrored else self._region_share
        return 0.5

    def begin_day(self, day: int) -> None:
        """Count a day of the experiment, from 0."""
        self.day = day

    def is_challenged(self, card_id: str) -> bool:
        """Whether a card is B's today."""
        if self._name in (ALL_A, REPLAY):
            return False
        if self._name == ALL_B:
            return True
        if self._name == "by region":
            chosen = bool(self._city[int(card_id[1:])] % 2)
        elif self._name == "by day":
            chosen = bool(self.day % 2)
        else:
            chosen = self._by_card.is_challenged(card_id)
        return chosen != self._mirrored


def run_cell(plan: InterferencePlan, cell: StudyCell, settings: Settings, scratch: Path) -> ArmSums:
    """Run one cell.

    Raises:
        FraudsimError: its world has no fraud to train on, or a file cannot be written.
    """
    world = study_world(plan.worlds, cell.seed, settings, scratch)
    off = CONDITIONS[cell.condition]
    rules = _rules(plan, settings, enough="analysts" in off)
    blind = "merchant risk" in off
    a, b = (_scoring(world, settings, share, blind) for share in plan.alert_shares)
    assert world.traffic.world is not None
    city = world.traffic.world.population.cards.city.astype(np.int64)
    design = Design(cell.arm, city, divided=ONE_DESK not in off)
    line = SimulatedLine(
        replace(world.traffic, stretch_days=1), REGIMES["real-time"],
        SplitScoring(a, b, design), rules, reacting="displacement" not in off,
    )  # fmt: skip
    sums, offline = np.zeros((2, 2)), 0.0
    days = []
    for decided in line.run():
        in_b = np.array([design.is_challenged(name) for name in _names(decided)], np.bool_)
        days.append((decided, in_b, design.day))
        if cell.arm == REPLAY:
            offline += _replayed(decided, BothArms(a, b), rules)
        design.begin_day(design.day + 1)
    cards = world.traffic.cards
    for decided, in_b, _ in days:  # once reviews are over
        cents = decided.prices.sum(axis=1)[decided.present]
        chosen = in_b[decided.present]
        sums[0] += cents[~chosen].sum(), cents[chosen].sum()
    sums[1] = _card_days(cell.arm, design, cards, len(days))
    weeks = sums[1] / 7
    return ArmSums(
        loss_a=float(sums[0, 0]), loss_b=float(sums[0, 1]), card_weeks_a=float(weeks[0]),
        card_weeks_b=float(weeks[1]), offline_gain=offline / (cards * len(days) / 7),
        reviews=line.ledger.total.reviews,
    )  # fmt: skip


def _names(decided: DecidedStretch) -> list[str]:
    """The card of each row as it was planned: a campaign that moves on takes its loss with it."""
    index, names = codes(decided.stretch.transactions, "card_id")
    planned = [str(names[number]) for number in index.tolist()]
    for row, tx in decided.changed.items():
        planned[row] = tx.card_id
    return planned


def _card_days(arm: str, design: Design, cards: int, days: int) -> tuple[float, float]:
    """Days of cards in A and in B; every card of the world counts, whether it paid or not."""
    in_b = 0
    for day in range(days):
        design.begin_day(day)
        in_b += sum(design.is_challenged(f"c{number:07d}") for number in range(cards))
    return float(cards * days - in_b), float(in_b)


def _rules(plan: InterferencePlan, settings: Settings, *, enough: bool) -> Consequences:
    """One analyst with long cases, or many; a case costs the same."""
    rules = consequences(settings)
    hour_cents = rules.analyst_hour_cents * rules.review_minutes / plan.review_minutes
    return replace(
        rules, analysts=1_000.0 if enough else 1.0, review_minutes=plan.review_minutes,
        analyst_hour_cents=hour_cents,
    )  # fmt: skip


def _scoring(world: StudyWorld, settings: Settings, alert_share: float, blind: bool) -> Scoring:
    fitted: FittedArm | None = world.fit(REGIMES["real-time"], alert_share=alert_share)
    assert fitted is not None
    policy = load_policy(settings.policy or SHIPPED)
    limits = replace(policy.limits, flag_from_probability=fitted.flag_from)
    arm = fitted.arm
    if blind:
        arm = arm._replace(forest=BlindForest(arm.forest))  # type: ignore[arg-type]
    return Scoring(arm, replace(policy, limits=limits), "champion")


def _replayed(decided: DecidedStretch, both: BothArms, rules: Consequences) -> float:
    """B's expected cost less A's on what A decided, cents: blocks and campaigns stay as A left them."""
    rows = np.flatnonzero(decided.present)
    columns = PaymentColumns.of(decided.stretch.transactions)
    answers = both.ask(decided.vectors[rows], columns, rows, decided.transaction, decided.blocks)
    everything = np.ones(len(rows), np.bool_)
    _, change = answered_otherwise(decided, rows, answers, everything, Costs.of(rules))
    return float(change.sum())
