"""Trials: one set of parameters, measured on every fold of every world against XGBoost's defaults."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from fraudsim.arrays import Floats
from fraudsim.errors import FraudsimError
from model.forest.fit import XGBOOST_DEFAULTS, TreeParameters, fit_trees, scores_of
from model.tuning.paired import PairedDifference, ScoredTest, paired_difference
from model.tuning.validation_folds import FoldRows
from model.tuning.worlds import ValidationWorld

HONEST_ROWS = 60_000
"""Most honest transactions of a fit during the search, for baseline and candidates alike."""
WORST_LOSS = 0.01
"""A choice may lose this much average precision in any world, by the lower bound of its interval."""


class WorldTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial in one world."""

    world: str
    frauds: int = 0
    """Of the tests; 0 in a file of an earlier version."""
    compared: PairedDifference
    """With XGBoost's defaults, on the same folds and rows."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial: one line of `trials.jsonl`."""

    parameters: TreeParameters
    worlds: list[WorldTrial]
    seconds: float
    """Of fitting and scoring."""

    @property
    def mean_difference(self) -> float:
        """Of average precision, over the worlds."""
        return float(np.mean([world.compared.difference for world in self.worlds]))

    @property
    def worst_low(self) -> float:
        """The lowest lower bound."""
        return min(world.compared.low for world in self.worlds)


Baselines = dict[str, list[Floats]]
"""By world: the scores of XGBoost's defaults on the test of each fold."""


def baseline_scores(worlds: Sequence[ValidationWorld], seed: int) -> Baselines:
    """The scores that every trial is compared with."""
    return {
        world.name: [fold_scores(world, rows, XGBOOST_DEFAULTS, seed) for rows in world.folds]
        for world in worlds
    }


def fold_scores(
    world: ValidationWorld,
    rows: FoldRows,
    parameters: TreeParameters,
    seed: int,
    honest_rows: int = HONEST_ROWS,
) -> Floats:
    """Scores of a fold's test rows by trees fitted on its training rows."""
    ubj = fit_trees(world.features[rows.train], rows.train_fraud[rows.train], seed, parameters, honest_rows)
    return scores_of(ubj, world.features[rows.test])


def compare(
    world: ValidationWorld,
    folds: Sequence[FoldRows],
    scores: Sequence[Floats],
    baseline: Sequence[Floats],
    seed: int,
) -> PairedDifference:
    """The paired difference over folds of one world."""
    tests = [
        ScoredTest(world.card[rows.test], rows.test_fraud[rows.test], own, other)
        for rows, own, other in zip(folds, scores, baseline, strict=True)
    ]
    return paired_difference(tests, seed)


def run_trial(
    worlds: Sequence[ValidationWorld],
    baselines: Baselines,
    parameters: TreeParameters,
    seed: int,
    clock: Callable[[], float],
) -> Trial:
    """Measure a set of parameters on all folds; `clock` gives seconds."""
    compared, seconds = [], 0.0
    for world in worlds:
        started = clock()
        scores = [fold_scores(world, rows, parameters, seed) for rows in world.folds]
        seconds += clock() - started
        difference = compare(world, world.folds, scores, baselines[world.name], seed)
        compared.append(WorldTrial(world=world.name, frauds=frauds_of(world.folds), compared=difference))
    return Trial(parameters=parameters, worlds=compared, seconds=seconds)


def frauds_of(folds: Sequence[FoldRows]) -> int:
    """The frauds of the tests."""
    return sum(int(rows.test_fraud[rows.test].sum()) for rows in folds)


def choose(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the highest mean difference among those that lose nowhere; None if all lose somewhere."""
    safe = [trial for trial in trials if trial.worst_low >= -WORST_LOSS]
    return max(safe, key=lambda trial: trial.mean_difference, default=None)


def read_trials(path: Path, worlds: Sequence[ValidationWorld]) -> list[Trial]:
    """The trials of an interrupted search; a last line that was cut off is left out.

    Raises:
        FraudsimError: the file cannot be read, or is of other worlds.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        trials = [msgspec.json.decode(line, type=Trial) for line in lines if line.endswith(b"\n")]
    except (OSError, msgspec.DecodeError) as error:
        raise FraudsimError(f"model tune {path}: {error}; name another folder by --out") from None
    names = [world.name for world in worlds]
    for trial in trials:
        if [world.world for world in trial.worlds] != names:
            raise FraudsimError(
                f"model tune {path}: its trials are of other worlds; name another folder by --out"
            )
    return trials


def append_trial(path: Path, trial: Trial) -> None:
    """Add a trial at the end of the file."""
    cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("ab") as file:
        file.write((b"\n" if cut else b"") + msgspec.json.encode(trial) + b"\n")
