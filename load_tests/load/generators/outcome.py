"""What a worker says of its share when it ends, beside the records of its requests."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from fraudsim.whole_files import write_whole
from load_tests.rig.scheduling import NORMAL, REAL_TIME


class WorkerOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one worker's share."""

    index: int
    share: int
    """Requests of the schedule that were its own."""
    handed_over: int
    """Of those, handed to a sender."""
    finished: bool
    """Whether the whole share was sent and every answer had its time; False after Ctrl-C."""
    start_us: int
    """Wall clock time of the schedule's start."""
    hub_wakes: int = 0
    hub_late: int = 0
    """Of the probe's wakes, those later than the limit for sends."""
    hub_max_ms: float = 0.0
    cpu_s: float = 0.0
    scheduling: str = NORMAL
    """How it was scheduled, as `run_when_due` says."""
    errors: dict[str, int] = {}
    """Requests without a good answer, by what was wrong."""


def records_path(folder: Path, index: int) -> Path:
    """The file of a worker's records."""
    return folder / f"records-{index}.bin"


def outcome_path(folder: Path, index: int) -> Path:
    """The file of a worker's outcome."""
    return folder / f"outcome-{index}.json"


def write_outcome(folder: Path, outcome: WorkerOutcome) -> None:
    """Write it whole: where the file is, the records are complete."""
    write_whole(outcome_path(folder, outcome.index), msgspec.json.encode(outcome))


def read_outcomes(folder: Path) -> list[WorkerOutcome]:
    """The outcomes of the workers that came to an end, by index."""
    outcomes = [
        msgspec.json.decode(path.read_bytes(), type=WorkerOutcome) for path in folder.glob("outcome-*.json")
    ]
    return sorted(outcomes, key=lambda outcome: outcome.index)


def scheduling_of(outcomes: Sequence[WorkerOutcome]) -> str:
    """How a generator was scheduled: in real time if all of its workers were."""
    whole = outcomes and all(outcome.scheduling == REAL_TIME for outcome in outcomes)
    return REAL_TIME if whole else NORMAL
