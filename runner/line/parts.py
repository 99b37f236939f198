"""The table of parts: the processes of the line, as data.

`demo`, `up` and the drain are made from this table. Tests compare compose's services, Prometheus' jobs and
the runbooks with it. To add a process, add its row here, its service to `docker-compose.yml` and its job to
`dashboards/prometheus/prometheus.yml`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from fraudsim.settings import Settings
from runner.line.options import LineOptions
from runner.line.probes import lagged_scorer_decides, log_is_folded, scorer_is_ready, worker_has_caught_up

READY_S: Final = 90.0
WORKER_READY_S: Final = 300.0
"""Spark on a busy machine takes a minute or two until its Python processes run."""
LABELS_S: Final = 90.0
LAGGED_S: Final = 240.0
FOLD_S: Final = 180.0
"""Spark may wait for its next batch, a minute or more."""


@dataclass(frozen=True)
class PreparedRun:
    """What the parts' commands and conditions are made of: a run whose stack, history and model are there."""

    options: LineOptions
    settings: Settings
    speed: float
    """Event seconds per wall second."""

    def stream(self, command: str, report: str, seconds: float | None, *flags: str) -> list[str]:
        """The argv of `produce` or `labels` for this run's stream; `report` is a file in the run folder."""
        options = self.options
        argv = [command, "--speed", repr(self.speed), "--report", str(options.run_dir / report), *flags]
        if options.replay is not None:
            argv += ["--replay", str(options.replay)]
        else:
            argv += ["--history", str(options.run_dir / "history")]
        if options.script is not None and "--null" not in flags:
            argv += ["--script", str(options.script)]
        if options.shards > 1 and command == "produce":
            argv += ["--shards", str(options.shards)]
        return [*argv, "--seconds", repr(seconds)] if seconds is not None else argv

    def labels_flag(self) -> str:
        """The flag of `produce` that says whether it sends labels; a label feed sends them otherwise."""
        return "--no-labels" if self.options.consequences else "--labels"


@dataclass(frozen=True)
class PartProgress:
    """What a condition may ask of the running line besides the run itself."""

    started_s: float
    """Unix time at which the part's latest process started."""
    done: Callable[[str], bool]
    """Whether a part that finishes by itself has finished."""


Condition = Callable[[PreparedRun, PartProgress], bool]


@dataclass(frozen=True)
class Wait:
    """A condition that the line waits for, with its name in messages and the longest time."""

    name: str
    holds: Condition
    timeout_s: float


@dataclass(frozen=True)
class LinePart:
    """One process of the line. The table's order is the order of starting."""

    name: str
    title: str
    """Name in messages."""
    service: str
    """Name of its service in compose."""
    job: str
    """Name of its job in Prometheus."""
    command: Callable[[PreparedRun], list[str]]
    """The arguments of `fraudsim`."""
    stop_place: int
    """Parts stop in the order of this number."""
    starts: Literal["line", "traffic", "by hand"] = "line"
    """With the line, with the traffic, or only when somebody starts it beside the line."""
    nice: int = 0
    stop_timeout_s: float = 10.0
    """Time to stop before it is killed."""
    finishes: bool = False
    """Whether it ends by itself, with exit code 0."""
    ready: Wait | None = None
    """What the line waits for after the start of all parts that start with it."""
    before_stop: Wait | None = None
    """What the drain waits for before it stops the part."""
    optional: bool = False
    """Whether the run goes on when the supervisor gives the part up."""
    runs: Callable[[LineOptions], bool] = lambda _: True
    """Whether a run with these options has the part."""


def _produce(run: PreparedRun) -> list[str]:
    flags = [run.labels_flag(), *(["--reacting"] if run.options.reacting else [])]
    return run.stream("produce", "producer.json", run.options.seconds, *flags)


def _worker(run: PreparedRun) -> list[str]:
    options = run.options
    words = {"--engine": options.engine, "--trigger": options.trigger, "--master": options.master}
    return ["worker", *(word for name, value in words.items() if value is not None for word in (name, value))]


def _labels_are_sent(_: PreparedRun, progress: PartProgress) -> bool:
    """With the producer stopped early, the feed would wait for transactions that never come."""
    return not progress.done("producer") or progress.done("labels")


def _retrain(run: PreparedRun) -> list[str]:
    options = run.options
    argv = ["model", "retrain", "--run", str(options.run_dir)]
    argv += [] if options.retrain_every is None else ["--every", options.retrain_every]
    argv += [word for name in options.retrain_on for word in ("--on", name)]
    return argv if options.promote_after is None else [*argv, "--promote-after", options.promote_after]


PARTS: Final = (
    LinePart(
        name="worker",
        title="the feature worker",
        service="features",
        job="worker",
        command=_worker,
        nice=5,  # the scorer folds the unfolded log itself
        ready=Wait(
            "the feature worker to fold",
            lambda run, progress: worker_has_caught_up(run.settings, progress.started_s),
            WORKER_READY_S,
        ),
        before_stop=Wait(
            "the feature worker to catch up", lambda run, progress: log_is_folded(run.settings), FOLD_S
        ),
        stop_place=4,
    ),
    LinePart(
        name="scorer",
        title="the scorer",
        service="scorer",
        job="scorer",
        command=lambda run: ["scorer", "--features-lag", run.settings.features_lag],
        ready=Wait("the scorer to be ready", lambda run, progress: scorer_is_ready(run.settings), READY_S),
        stop_place=3,
        stop_timeout_s=25.0,  # it waits up to 15 s for HTTP requests, then publishes their decisions
    ),
    LinePart(
        name="lagged",
        title="the lagged scorer",
        service="lagged",
        job="lagged",
        command=lambda run: ["scorer", "--beside", "--features-lag", run.options.beside or "0s"],
        nice=10,
        optional=True,
        ready=Wait(
            "the lagged scorer to have read the history",
            lambda run, progress: lagged_scorer_decides(
                run.options.run_dir, run.settings, progress.started_s
            ),
            LAGGED_S,
        ),
        stop_place=3,
        runs=lambda options: options.beside is not None,
    ),
    LinePart(
        name="archiver",
        title="the archiver",
        service="archiver",
        job="archiver",
        command=lambda run: ["archive", "--run", str(run.options.run_dir)],
        nice=10,
        stop_place=5,  # it reads what the others write while they stop
        stop_timeout_s=60.0,
    ),
    LinePart(
        name="labels",
        title="the label feed",
        service="labels",
        job="labels",
        command=lambda run: run.stream("labels", "labels.json", run.options.seconds),
        nice=10,
        finishes=True,
        ready=Wait(
            "the label feed to have read its labels",
            lambda run, progress: (run.options.run_dir / "labels.json").exists(),
            READY_S,
        ),
        before_stop=Wait("the label feed", _labels_are_sent, LABELS_S),
        stop_place=1,
        runs=lambda options: options.consequences,
    ),
    LinePart(
        name="producer",
        title="the producer",
        service="producer",
        job="producer",
        command=_produce,
        starts="traffic",
        finishes=True,
        stop_place=2,
        stop_timeout_s=30.0,  # it waits up to 20 s for acknowledgements, and 5 s more for its shards
    ),
    LinePart(
        name="page",
        title="the live page",
        service="page",
        job="page",
        command=lambda run: ["page", "--run", str(run.options.run_dir)],
        nice=10,
        optional=True,
        stop_place=4,
        runs=lambda options: options.page,
    ),
    LinePart(
        name="drift",
        title="the weekly drift detector",
        service="drift",
        job="drift",
        command=lambda run: ["drift", "--run", str(run.options.run_dir), "--follow"],
        nice=10,
        optional=True,
        stop_place=1,
        runs=lambda options: options.drift or bool(options.retrain_on),
    ),
    LinePart(
        name="retrainer",
        title="the retrainer",
        service="retrainer",
        job="retrainer",
        command=_retrain,
        nice=10,
        optional=True,
        stop_place=1,  # a retraining that it leaves is taken up by the next one
        runs=lambda options: options.retrains,
    ),
    LinePart(
        name="watch",
        title="the watch",
        service="watch",
        job="watch",
        command=lambda run: ["watch"],
        starts="by hand",
        nice=10,
        stop_place=1,
    ),
)


def parts_of(options: LineOptions, starts: str) -> list[LinePart]:
    """The parts that a run with these options starts at a time, in the order of starting."""
    return [part for part in PARTS if part.starts == starts and part.runs(options)]


def in_stop_order(options: LineOptions) -> list[LinePart]:
    """The parts of a run in the order in which they stop; one started by hand goes on to the run's end."""
    started = [part for part in PARTS if part.runs(options) and part.starts != "by hand"]
    return sorted(started, key=lambda part: part.stop_place)
