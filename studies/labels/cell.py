"""One run of the study of labels: a model that learns from what a bank would know, in the world of a seed."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Floats
from fraudsim.settings import Settings
from producers.world.settings import consequences
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring
from simulator.line.traffic import world_traffic
from simulator.training import features_under
from studies.comparison.figures import MeasuredLine
from studies.comparison.ranking import RankedPayments
from studies.frame.cell_plan import StudyCell
from studies.frame.line_figures import run_line
from studies.frame.study_world import FittedArm, StudyWorld, study_world
from studies.labels.decided_past import REAL_TIME, DecidedPast, decide_past, middle_of, policy_of_past
from studies.labels.fit import TrainingRows, fit_arm, training_period
from studies.labels.plan import PAST_LOSS, LabelArm, LabelsPlan, LabelView, PastPolicy
from studies.labels.training_labels import known_frauds

GAP_DAYS: Final = 7.0
"""Age of the youngest payments that the first model learns from."""


class BankWorld:
    """What the arms of one seed share; each past is decided once."""

    def __init__(self, world: StudyWorld, history_days: int) -> None:
        self.world, self.history_days = world, history_days
        self.truth = truth_of(world, history_days)
        self._pasts: dict[PastPolicy, DecidedPast] = {}
        self._first: FittedArm | None = None
        self._vectors: dict[PastPolicy, Floats] = {}

    @property
    def half_days(self) -> int:
        """Days of the second half."""
        return self.history_days - self.history_days // 2

    def past(self, policy: PastPolicy) -> DecidedPast:
        """The past that a policy decided, by a model of the first half."""
        if policy not in self._pasts:
            fitted = self._first_model()
            changed = policy_of_past(policy, self.world.policy(fitted.flag_from))
            scoring = Scoring(fitted.arm, changed, "champion")
            rules = consequences(self.world.settings)
            self._pasts[policy] = decide_past(self.world.traffic, self.history_days, scoring, rules)
        return self._pasts[policy]

    def vectors(self, policy: PastPolicy) -> Floats:
        """The history's vectors with the labels that this past has left; the last ones are kept."""
        if policy not in self._vectors:
            labels = self.past(policy).labels
            self._vectors = {policy: features_under(REAL_TIME, self.world.traffic.past, labels)}
        return self._vectors[policy]

    def labelled(self, labels: pa.Table, view: LabelView, at_ms: int) -> Flags:
        """Which payments of the history pass for fraud at a time."""
        return known_frauds(self.world.traffic.past, labels, self.truth, view, at_ms, self.world.seed)

    def _first_model(self) -> FittedArm:
        if self._first is None:
            traffic = self.world.traffic
            cut_ms = middle_of(traffic, self.history_days).start_ms
            labelled = self.labelled(traffic.labels_before, LabelView(), cut_ms)
            ts = traffic.past["ts"].to_numpy()
            # A third of the first half is warm-up.
            days = self.history_days // 2 * 2 / 3 - GAP_DAYS
            period = training_period(ts, cut_ms, days, GAP_DAYS)
            rows = TrainingRows(self.world.vectors(REAL_TIME), labelled, *period)
            self._first = fit_arm(rows, "the first model", 1)
        return self._first


def truth_of(world: StudyWorld, history_days: int) -> Flags:
    """Whether each payment of the history is fraud, shape (n,)."""
    assert world.traffic.world is not None
    return np.concatenate([part.is_fraud for part in world_traffic(world.traffic.world, 0, history_days)])


_latest: dict[int, tuple[StudyWorld, BankWorld]] = {}


def bank_world(world: StudyWorld, history_days: int) -> BankWorld:
    """The bank of a world; the last one is kept, as its world is."""
    kept = _latest.get(0)
    if kept is None or kept[0] is not world:
        _latest[0] = kept = (world, BankWorld(world, history_days))
    return kept[1]


def run_cell(plan: LabelsPlan, cell: StudyCell, settings: Settings, scratch: Path) -> MeasuredLine:
    """Run one cell: the days after the history, under the settings' policy.

    Measures: `frauds`, `known frauds`, `unlabelled`, `unlabelled frauds` of the training period, and the
    `past loss` of the second half.

    Raises:
        FraudsimError: the training period has no known fraud.
    """
    arm = plan.arms()[cell.arm]
    world = study_world(plan.spec, cell.seed, settings, scratch)
    bank = bank_world(world, plan.spec.history_days)
    past = None if arm.past is None else bank.past(arm.past)
    fitted, measures = fit_and_measure(bank, arm, past, cell.arm)
    traffic = world.traffic if past is None else replace(world.traffic, labels_before=past.labels)
    line = SimulatedLine(traffic, REAL_TIME, world.scoring(fitted), consequences(settings), reacting=True)
    ranking = RankedPayments()
    figures = run_line(line, REAL_TIME, ranking.add)
    return MeasuredLine(line=figures, measures=measures | ranking.measures())


def fit_and_measure(
    bank: BankWorld, arm: LabelArm, past: DecidedPast | None, name: str
) -> tuple[FittedArm, dict[str, float]]:
    """The model of an arm, and what it was told. Raises as `fit_arm` does."""
    traffic = bank.world.traffic
    labels = traffic.labels_before if past is None else past.labels
    labelled = bank.labelled(labels, arm.view, traffic.start_ms)
    ts = traffic.past["ts"].to_numpy()
    train, held_out = training_period(ts, traffic.start_ms, bank.half_days - GAP_DAYS, arm.gap_days)
    measures = {"frauds": float(bank.truth[train].sum()), "known frauds": float(labelled[train].sum())}
    features, weight = bank.world.vectors(REAL_TIME), None
    if past is not None:
        measures |= {
            "unlabelled": float(past.unlabelled[train].sum()),
            "unlabelled frauds": float((past.unlabelled & bank.truth)[train].sum()),
            PAST_LOSS: float(past.net_loss_rate),
        }
        if arm.unlabelled == "left out":
            train, held_out = train & ~past.unlabelled, held_out & ~past.unlabelled
        weight = past.weight if arm.weighted else None
        assert arm.past is not None
        features = bank.vectors(arm.past)
    rows = TrainingRows(features, labelled, train, held_out, weight)
    return fit_arm(rows, name, arm.fit_seed), measures
