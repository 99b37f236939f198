"""The world of a seed: its history, models trained on that, and the days that follow."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from fraudsim.arrays import Floats
from fraudsim.settings import Settings
from model.artefact.calibration import fit_calibration
from model.artefact.costs import Costs
from model.artefact.thresholds import choose_thresholds
from model.forest.fit import fit_trees, scores_of
from model.forest.forest import Forest
from model.training.dataset import TrainingDataset, build_dataset
from model.training.fallback import request_only
from model.training.split import Split, split_history
from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.settings import consequences, world_config
from producers.world.world import World
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.policy import Policy
from simulator.line.decided import DecidedStretch
from simulator.line.line import SimulatedLine
from simulator.line.scoring import Scoring, ScoringArm
from simulator.line.traffic import SimulatedTraffic, traffic_of
from simulator.regimes import REGIMES, Regime
from simulator.training import features_under
from stream_features.catalogue.features import DAY
from studies.frame.line_figures import LineFigures, run_line

ALERT_SHARE: Final = 0.02
"""Of the transactions that a model may flag; rules may add to it."""
HONEST_ROWS: Final = 50_000
"""Most honest transactions that a model is fitted on: a third of the shipped number and time."""


@dataclass(frozen=True)
class WorldSpec:
    """Of what kind the worlds of a study are."""

    cards: int
    history_days: int
    """A model is trained on these."""
    days: int
    """The days that follow, which are decided."""
    world: tuple[tuple[str, float], ...] = ()
    """Parameters of the world beside the settings', such as `("fraud_scale", 4.0)`."""


Note = Callable[[DecidedStretch], None]
"""Is called with every stretch once it is decided."""


class FittedArm(NamedTuple):
    """A model for a regime, and the probability from which it may flag."""

    arm: ScoringArm
    flag_from: float


class StudyWorld:
    """A world whose history is the past of the days that are decided, as a bank's is.

    Vectors and models are made once for all regimes that share them.
    """

    def __init__(self, spec: WorldSpec, seed: int, settings: Settings, scratch: Path) -> None:
        """
        Args:
            scratch: a folder for the history's files, which are gone afterwards.

        Raises:
            FraudsimError: a setting is wrong.
        """
        parameters: dict[str, Any] = {**settings.world, **dict(spec.world)}
        config = world_config(settings.model_copy(update={"world": parameters}), spec.cards, seed)
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            history_dir = Path(folder) / "history"
            write_history(history_dir, World(config), spec.history_days)
            history = read_history(history_dir)
            traffic = traffic_of(history, spec.days)
        self._begin(seed, settings, traffic, history.manifest.start_ms)

    def _begin(self, seed: int, settings: Settings, traffic: SimulatedTraffic, first_ms: int) -> None:
        """`first_ms`: when the past begins."""
        self.seed, self.settings, self.traffic = seed, settings, traffic
        self._first_ms = first_ms
        self._dataset: TrainingDataset | None = None
        self._vectors: dict[str, Floats] = {}
        self._fitted: dict[tuple[str, int, float], FittedArm] = {}

    @property
    def dataset(self) -> TrainingDataset:
        """Labels and split of the history. Raises as `build_dataset` does."""
        if self._dataset is None:
            split = self._split()
            self._dataset = build_dataset(self.traffic.past, self.traffic.labels_before, split)
        return self._dataset

    def _split(self) -> Split:
        """All but the last day for training: the days that follow are the test."""
        end_ms, gap = self.traffic.start_ms, self.settings.label_gap_days
        split = split_history(self._first_ms, end_ms, gap)
        test_from_ms = end_ms - DAY
        until_ms = test_from_ms - round(gap * DAY)
        return replace(split, train_until_ms=until_ms, test_from_ms=test_from_ms)

    def vectors(self, regime: Regime) -> Floats:
        """The history's vectors as a regime serves them, shape (n, SIZE)."""
        key = _served_by(regime)
        if key not in self._vectors:
            past, labels = self.traffic.past, self.traffic.labels_before
            self._vectors = {key: features_under(regime, past, labels)} | self._kept_vectors()
        return self._vectors[key]

    def _kept_vectors(self) -> dict[str, Floats]:
        """Of the vectors made so far those of real time: others are used once, and large."""
        fresh = _served_by(REGIMES["real-time"])
        return {key: values for key, values in self._vectors.items() if key == fresh}

    def fit(self, regime: Regime, fit_seed: int = 1, alert_share: float = ALERT_SHARE) -> FittedArm | None:
        """A model for vectors as a regime serves them; None where it has none.

        It is fitted on the first four fifths of the train period, and calibrated on the rest, where it may
        flag `alert_share`: models of all regimes have one budget.

        Raises:
            FraudsimError: the history has too little fraud.
        """
        if regime.features == "none":
            return None
        key = (regime.features + _served_by(regime), fit_seed, alert_share)
        if key not in self._fitted:
            self._fitted[key] = self._fit(regime, fit_seed, alert_share)
        return self._fitted[key]

    def _fit(self, regime: Regime, fit_seed: int, alert_share: float) -> FittedArm:
        dataset = self.dataset
        features = self.vectors(regime)
        if regime.features == "request":
            features = request_only(features)
        return fit_arm(dataset, features, regime.name, fit_seed, alert_share)

    def decide(
        self,
        regime: Regime,
        fitted: FittedArm | None,
        policy: Policy | None = None,
        *,
        reacting: bool = True,
        note: Note | None = None,
    ) -> LineFigures:
        """Decide the days that follow under a regime, by a model that need not be the regime's own.

        Args:
            policy: the settings' if None; the model's budget of alerts is put in its place.
        """
        scoring = None if fitted is None else self.scoring(fitted, policy)
        return self.run(regime, scoring, reacting=reacting, note=note)

    def policy(self, flag_from: float, policy: Policy | None = None) -> Policy:
        """The settings' policy, or another one, with a budget of alerts."""
        policy = policy or load_policy(self.settings.policy or SHIPPED)
        return replace(policy, limits=replace(policy.limits, flag_from_probability=flag_from))

    def scoring(self, fitted: FittedArm, policy: Policy | None = None) -> Scoring:
        """What decides with a model under its budget."""
        return Scoring(fitted.arm, self.policy(fitted.flag_from, policy), "champion")

    def run(
        self, regime: Regime, scoring: Scoring | None, *, reacting: bool = True, note: Note | None = None
    ) -> LineFigures:
        """Decide the days that follow; `note` is called with every stretch."""
        line = SimulatedLine(self.traffic, regime, scoring, consequences(self.settings), reacting=reacting)
        return run_line(line, regime, note)


def fit_arm(
    dataset: TrainingDataset,
    features: Floats,
    name: str,
    fit_seed: int = 1,
    alert_share: float = ALERT_SHARE,
) -> FittedArm:
    """A model of a dataset, calibrated on the slice that it has not seen; see `StudyWorld.fit`."""
    before = dataset.train & ~dataset.calibration
    ubj = fit_trees(features[before], dataset.known_fraud[before], fit_seed, honest_rows=HONEST_ROWS)
    held_out = scores_of(ubj, features[dataset.calibration])
    thresholds = choose_thresholds(held_out, dataset.known_stakes(dataset.calibration), Costs())
    calibration = fit_calibration(held_out, dataset.known_fraud[dataset.calibration])
    flag_from = calibration.probability(float(np.quantile(held_out, 1 - alert_share)))
    return FittedArm(ScoringArm(Forest(ubj), thresholds, calibration, name, "champion"), flag_from)


def _served_by(regime: Regime) -> str:
    """Regimes of one key have the same vectors, of which some look at the request alone."""
    if regime.acts != "at once" or regime.features != "all":
        regime = REGIMES["real-time"]
    return repr(replace(regime, name="", summary=""))


_latest: dict[tuple[WorldSpec, int, str], StudyWorld] = {}


def study_world(spec: WorldSpec, seed: int, settings: Settings, scratch: Path) -> StudyWorld:
    """The world of a seed. The last one is kept: the cells of a seed and condition are run in a row."""
    key = (spec, seed, settings.model_dump_json())
    if key not in _latest:
        _latest.clear()
        _latest[key] = StudyWorld(spec, seed, settings, scratch)
    return _latest[key]
