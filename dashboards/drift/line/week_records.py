"""What was said of each week of a line, on disk: `RUN/drift/weeks.json`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from dashboards.drift.detector import WeekVerdict
from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole

WEEKS_FILE: Final = Path("drift") / "weeks.json"
WeekStatus = Literal["reference", "quiet", "alarm", "promotion"]
"""Nothing to compare with yet; nothing beyond a limit; something is; another champion since this week."""
STATUSES: Final[tuple[WeekStatus, ...]] = ("reference", "quiet", "alarm", "promotion")


class SignalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One signal of a week."""

    name: str
    against: str
    """The reference: `line` or `training`."""
    distance: float
    limit: float

    @property
    def beyond(self) -> bool:
        return self.distance > self.limit


class MatureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What decisions were worth on the payments two weeks before."""

    champion: str
    """The version that decided all of them; empty where it changed meanwhile."""
    cost_share: float | None
    """Their cost over that of approving everything; None without a known fraud."""
    at_stake_cents: int


class WeekRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One week of event time."""

    start_ms: int
    end_ms: int
    status: WeekStatus
    champion: str
    """The version that decides at its end."""
    payments: int
    reference_weeks: int
    """Weeks of the line that stand as its reference."""
    signals: list[SignalRecord]
    mature: MatureRecord | None

    @property
    def beyond(self) -> list[SignalRecord]:
        """The signals beyond their limits, the furthest first."""
        signals = [signal for signal in self.signals if signal.beyond]
        return sorted(signals, key=lambda signal: -signal.distance / max(signal.limit, 1e-12))


def signal_records(verdict: WeekVerdict, against: str) -> list[SignalRecord]:
    """The readings of one reference."""
    return [
        SignalRecord(name=r.name, against=against, distance=r.distance, limit=r.limit.value)
        for r in verdict.readings
    ]


def read_weeks(run_dir: Path) -> list[WeekRecord]:
    """The weeks of a run, in order; none where nobody has looked yet.

    Raises:
        FraudsimError: the file cannot be read.
    """
    path = run_dir / WEEKS_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[WeekRecord])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FraudsimError(f"{path}: {error}; remove it, and `fraudsim drift` makes it again") from None


def write_weeks(run_dir: Path, weeks: Sequence[WeekRecord]) -> None:
    """Write or replace the file whole.

    Raises:
        FraudsimError: it cannot be written.
    """
    path = run_dir / WEEKS_FILE
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, msgspec.json.format(msgspec.json.encode(weeks), indent=1) + b"\n", durable=True)
    except OSError as error:
        raise FraudsimError(f"{path}: {error.strerror}; make room, or free the folder") from None
