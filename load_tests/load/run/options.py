"""The options of `fraudsim load run`, checked before anything starts."""

import math
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from fraudsim.errors import FraudsimError
from load_tests.load.arrivals.bounds import check_connections, check_rate, check_seconds, default_connections
from load_tests.load.arrivals.shapes import parse_shape
from load_tests.load.clocks.lateness import late_limit_us
from load_tests.load.generators.plan import LoadPlan
from load_tests.load.verdict.objectives import Objectives

MAX_BATCH = 500
MAX_WORKERS = 64
MAX_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """What is to be sent where; whole and within bounds when made.

    Raises FraudsimError: an option is out of bounds.
    """

    rate: float
    seconds: float
    out: Path
    url: str | None = None
    stream: bool = False
    arrivals: str = "poisson"
    seed: int = 1
    body: Path | None = None
    batch: int = 1
    connections: int | None = None
    workers: int = 1
    rounds: int = 1
    timeout_s: float = 10.0
    allow_host: str | None = None
    spin: bool = False
    """Whether the probe of the scheduler spins, on a core of its own."""
    run: Path | None = None
    """Folder of the line that is loaded, if it runs on this machine."""
    objectives: Objectives = field(default_factory=Objectives)

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_seconds(self.seconds, self.rate)
        parse_shape(self.arrivals)
        if self.connections is not None:
            check_connections(self.connections)
        bounds = (
            ("--batch", self.batch, MAX_BATCH),
            ("--workers", self.workers, MAX_WORKERS),
            ("--rounds", self.rounds, MAX_ROUNDS),
        )
        for name, value, most in bounds:
            if not 0 < value <= most:
                raise FraudsimError(f"{name} {value} must be from 1 to {most}")
        if not (math.isfinite(self.timeout_s) and 0 < self.timeout_s <= 600):
            raise FraudsimError(f"--timeout {self.timeout_s:g} must be above 0 and at most 600 s")
        if self.stream == (self.url is not None):
            raise FraudsimError("name what is loaded: --url URL, or --stream")
        if self.stream and (self.batch > 1 or self.workers > 1):
            raise FraudsimError("--stream goes without --batch and --workers: one sender hands to Kafka")

    @property
    def kind(self) -> str:
        """The word for the way in."""
        return "stream" if self.stream else "http"

    def plan(self, url: str, fraudsim: bool) -> LoadPlan:
        """The plan of the generator."""
        return LoadPlan(
            run_id=secrets.token_hex(5),
            folder=str(self.out),
            url=url,
            fraudsim=fraudsim,
            rate=self.rate,
            seconds=self.seconds,
            arrivals=self.arrivals,
            seed=self.seed,
            connections=self.connections or default_connections(self.rate),
            batch=self.batch,
            bodies=None if self.body is None else str(self.body.resolve()),
            timeout_s=self.timeout_s,
            late_limit_us=late_limit_us(self.objectives.tightest_ms),
        )


def make_out(out: Path) -> Path:
    """The folder for the result, without the result of an earlier load.

    Raises:
        FraudsimError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("result.json", "report.html"):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise FraudsimError(f"--out {out}: {error.strerror}; name a folder that can be made") from None
    return out.resolve()
