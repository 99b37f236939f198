"""The state of an experiment: what it compares, where it stands, how it got there; and its file.

One file in the registry, so that there is one experiment at a time, and a controller that was killed goes on.
"""

from pathlib import Path
from typing import Final, Literal

import msgspec

from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from lifecycle.experiment.guards import GuardReading
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


class MoneyReading(msgspec.Struct, frozen=True, kw_only=True):
    """Net loss at a look; cents per card and week."""

    loss_of_a: float
    difference: float
    low: float
    high: float
    detectable: float
    """The minimum effect that the rest of the stage would find, in 80 of 100 cases."""
    tested: bool
    cards_of_a: int
    cards_of_b: int

    @property
    def text(self) -> str:
        """In currency units per 1,000 cards and week."""
        share = self.detectable / self.loss_of_a if self.loss_of_a else float("inf")
        tested = "tested" if self.tested else "not tested: too little would be found"
        return (
            f"net loss of A {10 * self.loss_of_a:,.2f} per 1,000 cards and week, B less A "
            f"{10 * self.difference:+,.2f} ({10 * self.low:+,.2f} to {10 * self.high:+,.2f}); minimum "
            f"detectable effect {10 * self.detectable:,.2f} ({share:.0%} of A's): {tested}"
        )


class ExperimentState(msgspec.Struct, frozen=True, kw_only=True):
    """`experiment.json`. Changed copies replace it whole."""

    champion: str
    challenger: str
    salt: str
    stages: tuple[Stage, ...] = STAGES
    maturity_days: float = MATURITY_DAYS
    worth: float = WORTH
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

    @property
    def current(self) -> Stage:
        return self.stages[self.stage]

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
