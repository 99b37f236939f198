"""What a generator is to send, as the file that its process reads."""

import os
from pathlib import Path
from typing import Final

import msgspec

from fraudsim.arrays import Ints
from fraudsim.errors import FraudsimError
from fraudsim.whole_files import write_whole
from load_tests.load.arrivals.bounds import check_rate, check_seconds
from load_tests.load.arrivals.schedule import schedule_us
from load_tests.load.arrivals.shapes import parse_shape

PLAN_VARIABLE: Final = "FRAUDSIM_LOAD_PLAN"
"""The plan's file. Without it, Locust's file takes rate, arrivals and length from the variables below."""
RATE_VARIABLE: Final = "FRAUDSIM_LOAD_RATE"
ARRIVALS_VARIABLE: Final = "FRAUDSIM_LOAD_ARRIVALS"
SECONDS_VARIABLE: Final = "FRAUDSIM_LOAD_SECONDS"
SCORE_PATH: Final = "/v1/score"
BATCH_PATH: Final = "/v1/score/batch"


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One load: target, schedule, bodies, and the folder for what came of it."""

    run_id: str
    """In the ids of the transactions that are sent."""
    folder: str
    """Where records and outcome are written; empty: nowhere, as with Locust's own page."""
    url: str = ""
    """With its path; empty for a stream."""
    fraudsim: bool = True
    """Whether the target is fraudsim's scorer: answers are decisions, bodies get ids of their own."""
    rate: float
    seconds: float
    arrivals: str = "poisson"
    seed: int = 1
    connections: int = 64
    """Senders of a worker, each with one connection."""
    opened: int = 0
    """Of these, connected before the start: a target that stands still would take no new connection."""
    batch: int = 1
    """Transactions in a request."""
    bodies: str | None = None
    """File of bodies; None for made-up transactions."""
    timeout_s: float = 10.0
    """A request without an answer for this long is an error."""
    late_limit_us: int = 1_000
    topic_prefix: str = ""
    """Of the topics of a stream: those of the self-check, not the line's."""

    def schedule(self) -> Ints:
        """Intended times, µs since the start."""
        return schedule_us(parse_shape(self.arrivals), self.rate, self.seconds, self.seed)

    def write(self, path: Path) -> None:
        write_whole(path, msgspec.json.format(msgspec.json.encode(self)), mode=0o600)


def read_plan(path: Path) -> LoadPlan:
    """Raises:
    FraudsimError: the file cannot be read, or is another version's.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=LoadPlan)
    except (OSError, msgspec.DecodeError) as error:
        raise FraudsimError(f"{PLAN_VARIABLE}={path}: {error}; start it by `fraudsim load run`") from None


def plan_from_environment(host: str) -> LoadPlan:
    """The plan of a Locust that was started by hand or by compose.

    Raises:
        FraudsimError: a variable holds no plan, no number, no shape.
    """
    path = os.environ.get(PLAN_VARIABLE)
    if path:
        return read_plan(Path(path))
    rate = check_rate(_number(RATE_VARIABLE, "100"), RATE_VARIABLE)
    seconds = check_seconds(_number(SECONDS_VARIABLE, "600"), rate, SECONDS_VARIABLE)
    arrivals = os.environ.get(ARRIVALS_VARIABLE, "poisson")
    parse_shape(arrivals)
    return LoadPlan(
        run_id="locust", folder="", url=host.rstrip("/") + SCORE_PATH,
        rate=rate, seconds=seconds, arrivals=arrivals,
    )  # fmt: skip


def _number(name: str, default: str) -> float:
    text = os.environ.get(name, default)
    try:
        return float(text)
    except ValueError:
        raise FraudsimError(f"{name}={text}: a number above 0") from None
