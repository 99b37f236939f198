"""The search for training parameters: Optuna's TPE over trials on the validation folds, within a budget.

Optuna is an extra (`pip install 'fraudsim[tune]'`) and imported only here. Its samples depend on the seed and
on the trials before, so a search that was interrupted goes on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from model.forest.fit import SHIPPED, XGBOOST_DEFAULTS
from model.tuning.trials import (
    Baselines,
    Trial,
    append_trial,
    baseline_scores,
    read_trials,
    run_trial,
)
from model.tuning.worlds import ValidationWorld

SPACE: Final[dict[str, tuple[float, float, bool]]] = {
    "eta": (0.03, 0.3, True),
    "min_child_weight": (0.5, 20.0, True),
    "subsample": (0.5, 1.0, False),
    "colsample_bytree": (0.3, 1.0, False),
    "reg_lambda": (0.3, 30.0, True),
    "gamma": (0.0, 2.0, False),
}
"""Lowest and highest value, and whether the scale is logarithmic."""
WHOLE_SPACE: Final[dict[str, tuple[int, int, int]]] = {"trees": (60, 200, 20), "max_depth": (3, 8, 1)}
"""Lowest, highest, step. No more trees than before: they cost time in training and in every decision."""
BINS: Final = (64, 128, 256, 512)
FIRST: Final = (SHIPPED, XGBOOST_DEFAULTS)
"""The parameters of the first trials."""


@dataclass(frozen=True)
class SearchBudget:
    """A search ends with the first of both."""

    trials: int
    minutes: float


def require_optuna() -> Any:
    """Optuna.

    Raises:
        FraudsimError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise FraudsimError(
            "model tune: Optuna is not installed; `make setup-tune` or `pip install 'fraudsim[tune]'` adds it"
        ) from None
    return optuna


def search(
    worlds: Sequence[ValidationWorld],
    path: Path,
    budget: SearchBudget,
    seed: int,
    on_trial: Callable[[int, Trial], None] = lambda number, trial: None,
) -> list[Trial]:
    """Trials of the worlds, those in the file `path` included, to which new ones are added.

    The first two are the shipped parameters and XGBoost's defaults.

    Args:
        on_trial: called with the number of each new trial, from 1.

    Raises:
        FraudsimError: Optuna is not installed, or the file is of other worlds.
    """
    optuna = require_optuna()
    trials = read_trials(path, worlds)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed + len(trials), n_startup_trials=8)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space = _space(optuna)
    for trial in trials:
        _add(optuna, study, trial, space)
    started, baselines = time.monotonic(), Baselines()
    while len(trials) < budget.trials and time.monotonic() - started < 60 * budget.minutes:
        baselines = baselines or baseline_scores(worlds, seed)
        asked_trial = study.ask(space) if len(trials) >= len(FIRST) else None
        parameters = replace(SHIPPED, **asked_trial.params) if asked_trial else FIRST[len(trials)]
        trial = run_trial(worlds, baselines, parameters, seed, time.perf_counter)
        append_trial(path, trial)
        trials.append(trial)
        if asked_trial:
            study.tell(asked_trial, trial.mean_difference)
        else:
            _add(optuna, study, trial, space)
        on_trial(len(trials), trial)
    return trials


def _space(optuna: Any) -> dict[str, Any]:
    distributions = optuna.distributions
    space = {
        name: distributions.FloatDistribution(low, high, log=log) for name, (low, high, log) in SPACE.items()
    }
    space |= {
        name: distributions.IntDistribution(low, high, step=step)
        for name, (low, high, step) in WHOLE_SPACE.items()
    }
    return {**space, "max_bin": distributions.CategoricalDistribution(BINS)}


def _add(optuna: Any, study: Any, trial: Trial, space: dict[str, Any]) -> None:
    """Add a finished trial, from which the sampler learns."""
    values = {name: value for name, value in asdict(trial.parameters).items() if name in space}
    study.add_trial(
        optuna.trial.create_trial(params=values, distributions=space, value=trial.mean_difference)
    )
