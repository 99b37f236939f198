"""The row that a live experiment leaves in the table of lifts when it ends."""

from pathlib import Path

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from lifecycle.backtest.log_backtest import log_backtest
from lifecycle.backtest.page import RESULT_FILE
from lifecycle.backtest.result import BacktestResult
from lifecycle.backtest.verdict import MARGIN, Interval
from lifecycle.evidence.money import DifferenceReading, OfflineGain
from lifecycle.experiment.lift import LiftRow, append_lift, lift_row
from lifecycle.experiment.state import ExperimentState
from model.artefact.files import load_model
from model.registry.versions import folder_of


def record_lift(registry: Path, state: ExperimentState, settings: Settings) -> LiftRow | None:
    """Append the row of an experiment that ended; None if it never began, or has one.

    Raises:
        FraudsimError: the table cannot be read or written.
    """
    if state.running or not state.steps or state.steps[0].what != "begins":
        return None
    offline = state.offline or offline_of_run(registry, state, settings)
    row = lift_row(state, f"line, {state.run}", offline)
    return row if append_lift(registry, row) else None


def offline_of_run(registry: Path, state: ExperimentState, settings: Settings) -> OfflineGain:
    """What the log of A's cards says of B, off-policy; why not, where it says too little."""
    try:
        models = (
            load_model(folder_of(registry, state.champion)),
            load_model(folder_of(registry, state.challenger)),
        )
        result = log_backtest(Path(state.run), models, settings, state.maturity_days, MARGIN)
    except FraudsimError as error:
        return OfflineGain(method=f"none: {error}")
    return OfflineGain(method=result.method, gain=_per_card(result.difference))


def offline_of_backtest(folder: Path, champion: str, challenger: str) -> OfflineGain:
    """What a finished backtest of the same pair said.

    Raises:
        FraudsimError: it cannot be read, or compared other models.
    """
    path = folder / RESULT_FILE
    try:
        result = msgspec.json.decode(path.read_bytes(), type=BacktestResult)
    except OSError as error:
        raise FraudsimError(f"--backtest {path}: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FraudsimError(f"--backtest {path}: {error}; run the backtest again") from None
    if (result.a, result.b) != (champion, challenger):
        raise FraudsimError(
            f"--backtest {path} compared {result.a} and {result.b}, and the experiment is of {champion} and "
            f"{challenger}; name the backtest of this pair"
        )
    return OfflineGain(method=result.method, gain=_per_card(result.difference))


def _per_card(difference: Interval) -> DifferenceReading:
    """From 1,000 cards to one."""
    return DifferenceReading(
        difference=difference.mean / 1_000, low=difference.low / 1_000, high=difference.high / 1_000
    )
