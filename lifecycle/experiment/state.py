"""The state of an experiment: what it compares, where it stands, how it got there; and its file.

One file in the registry, so that there is one experiment at a time, and a controller that was killed goes on.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from lifecycle.evidence.guards import GuardReading
from lifecycle.evidence.money import CAP_CENTS, MoneyReading, OfflineGain
from lifecycle.experiment.stages import MATURITY_DAYS, STAGES, WORTH, Stage

STATE_FILE: Final = "experiment.json"
Status = Literal["running", "rolled back", "promoted", "undecided", "stopped"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A change of stage, or the end."""

    event_ms: int
    wall_ms: int
    """0 in the fast-forward."""
    stage: str
    what: str


class ExperimentState(msgspec.Struct, frozen=True, kw_only=True):
    """`experiment.json`. Changed copies replace it whole."""

    champion: str
    challenger: str
    salt: str
    stages: tuple[Stage, ...] = STAGES
    maturity_days: float = MATURITY_DAYS
    worth: float = WORTH
    cap_cents: float = CAP_CENTS
    """Of a card's loss in the capped outcome."""
    status: Status = "running"
    stage: int = 0
    began_ms: int = 0
    """Event time at which the stage began."""
    looks: int = 0
    mixtures: dict[str, float] = {}
    """λ by guard and of `money`, fixed at a stage's first look."""
    guards: dict[str, GuardReading] = {}
    money: MoneyReading | None = None
    steps: list[Step] = []
    reason: str = ""
    """Why it ended."""
    run: str = ""
    """Folder of the run whose archive is looked at; empty in the fast-forward."""
    offline: OfflineGain | None = None
    """What a backtest said before; None: the run's log is asked when the experiment ends."""

    @property
    def current(self) -> Stage:
        return self.stages[self.stage]

    @property
    def live_from_ms(self) -> int | None:
        """Event time from which B decided for some cards; None before that."""
        live = {stage.name for stage in self.stages if stage.share}
        begun = (step.event_ms for step in self.steps if step.what == "begins" and step.stage in live)
        return next(begun, None)

    @property
    def running(self) -> bool:
        return self.status == "running"


def read_state(registry: Path) -> ExperimentState | None:
    """The registry's experiment, running or over; None without one.

    Raises:
        FraudsimError: the file cannot be read.
    """
    path = registry / STATE_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=ExperimentState)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FraudsimError(f"experiment {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FraudsimError(f"experiment {path}: {error}; move it away to begin another") from None


def write_state(registry: Path, state: ExperimentState) -> None:
    """Write the state, whole and durable.

    Raises:
        FraudsimError: the registry cannot be written.
    """
    content = msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n"
    try:
        write_whole(registry / STATE_FILE, content, durable=True)
    except OSError as error:
        raise FraudsimError(f"experiment {registry / STATE_FILE}: {error.strerror or error}") from None
