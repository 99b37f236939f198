"""Offline gain against online lift: one row for each experiment that ended, in a file of the registry.

Offline is what a backtest or a replay said B would change; online is what the experiment saw. Both are B less
A, cents per card and week, so that a row says how far the one was from the other.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from lifecycle.evidence.money import DifferenceReading, OfflineGain
from lifecycle.experiment.state import ExperimentState
from model.artefact.files import current_versions

LIFT_FILE: Final = "lifts.jsonl"
_ROOT: Final = Path(__file__).parents[2]


class LiftRow(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment that ended."""

    challenger: str
    champion: str
    source: str
    """`line` or `simulated`, with the folder of the run or history."""
    salt: str
    stages: str
    """As `--stages` has them."""
    began_ms: int
    """Event time of its first stage."""
    ended_ms: int
    status: str
    stage: str
    """The last one."""
    share: float
    offline: OfflineGain
    online: DifferenceReading | None
    """In the last stage, by cards; None where no loss was old enough on enough cards."""
    maturity_days: float
    cards_of_a: int
    cards_of_b: int
    code: str
    """Version of fraudsim, and the commit where it runs from a repository."""

    @property
    def key(self) -> tuple[str, ...]:
        """What it was: one experiment has one row."""
        began = str(self.began_ms)
        return self.challenger, self.champion, self.source, self.salt, self.stages, began


def lift_row(state: ExperimentState, source: str, offline: OfflineGain) -> LiftRow:
    """The row of an experiment that ended."""
    money = state.money
    online = None
    if money is not None:
        online = DifferenceReading(difference=money.difference, low=money.low, high=money.high)
    return LiftRow(
        challenger=state.challenger,
        champion=state.champion,
        source=source,
        salt=state.salt,
        stages=",".join(f"{stage.name.replace(' ', '')}:{stage.days:g}" for stage in state.stages),
        began_ms=state.steps[0].event_ms if state.steps else 0,
        ended_ms=max((step.event_ms for step in state.steps), default=0),
        status=state.status,
        stage=state.current.name,
        share=state.current.share,
        offline=offline,
        online=online,
        maturity_days=state.maturity_days,
        cards_of_a=0 if money is None else money.cards_of_a,
        cards_of_b=0 if money is None else money.cards_of_b,
        code=code_version(),
    )


def code_version() -> str:
    """Version of fraudsim, and the commit of its repository if it runs from one.

    >>> code_version().startswith(current_versions().fraudsim)
    True
    """
    version = current_versions().fraudsim
    try:
        words = ["git", "-C", str(_ROOT), "rev-parse", "--short=12", "HEAD"]
        commit = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version} {commit}"


def append_lift(registry: Path, row: LiftRow) -> bool:
    """Append a row, unless that experiment has one; whether it was appended.

    Raises:
        FraudsimError: the file cannot be read or written.
    """
    path = registry / LIFT_FILE
    rows, _ = read_lifts(registry)
    if any(old.key == row.key for old in rows):
        return False
    try:
        with path.open("ab") as file:
            if file.tell() and not path.read_bytes().endswith(b"\n"):
                file.write(b"\n")  # a row that a killed process did not finish
            file.write(msgspec.json.encode(row) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FraudsimError(f"experiment {path}: {error.strerror or error}") from None
    return True


def read_lifts(registry: Path) -> tuple[list[LiftRow], int]:
    """The rows, and the number of lines that are none.

    Raises:
        FraudsimError: the file cannot be read.
    """
    path = registry / LIFT_FILE
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise FraudsimError(f"experiment {path}: {error.strerror or error}") from None
    rows, unreadable = [], 0
    for line in lines:
        try:
            rows.append(msgspec.json.decode(line, type=LiftRow))
        except (msgspec.DecodeError, UnicodeDecodeError):
            unreadable += 1
    return rows, unreadable


def lift_lines(rows: Sequence[LiftRow], unreadable: int) -> Iterator[str]:
    """The table as text of 80 columns; currency units per 1,000 cards and week."""
    if unreadable:
        yield f"{unreadable} lines of {LIFT_FILE} cannot be read and are left out"
    if not rows:
        yield "no experiment has ended: the table is empty"
        return
    yield "Offline gain against online lift: B less A per 1,000 cards and week, 95 %"
    for row in rows:
        yield f"{row.challenger} against {row.champion}: {row.status} in {row.stage}"
        gain, method = row.offline.gain, row.offline.method
        yield f"  offline  {method if gain is None else f'{gain.text}, {method}'}"
        online = "none: too little was old enough" if row.online is None else row.online.text
        yield f"  online   {online}"
        yield (
            f"           {row.cards_of_b:,} cards of B, {row.cards_of_a:,} of A, loss of "
            f"{row.maturity_days:g} days' age"
        )
        yield f"  {row.source}; fraudsim {row.code}"
