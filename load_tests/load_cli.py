"""`fraudsim load`: open-loop load tests with a verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from load_tests.load.verdict.objectives import Objectives

load = typer.Typer(no_args_is_help=True, help="Load tests whose latency counts from the intended send time.")

Rate = Annotated[float, typer.Option("--rate", help="requests a second")]
Seconds = Annotated[float, typer.Option("--seconds", help="length of the load")]
Out = Annotated[Path, typer.Option("--out", help="folder for result.json and report.html")]
Url = Annotated[str | None, typer.Option("--url", help="the scorer, or with --body any URL that takes POST")]
Stream = Annotated[bool, typer.Option("--stream", help="load the running line through Kafka")]
Arrivals = Annotated[
    str,
    typer.Option(
        "--arrivals",
        help="constant, poisson, steps:1,2,4, ramp:0.5,2, bursts:MULTIPLE,LENGTH,PERIOD, recorded:HISTORY",
    ),
]
Body = Annotated[Path | None, typer.Option("--body", help="file of a body or of one a line, or a history")]
Run = Annotated[Path | None, typer.Option("--run", help="run folder of the line that is loaded")]
P50 = Annotated[str | None, typer.Option("--p50", help="objective: half within this, such as 5ms")]
P90 = Annotated[str | None, typer.Option("--p90", help="objective: 90 % within this")]
P99 = Annotated[str | None, typer.Option("--p99", help="objective: 99 % within this")]
P999 = Annotated[str | None, typer.Option("--p999", help="objective: 99.9 % within this")]
Errors = Annotated[
    str | None, typer.Option("--errors", help="objective: share without a good answer, such as 0.1%")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="of the arrivals")]
Batch = Annotated[int, typer.Option("--batch", help="transactions in a request")]
Connections = Annotated[
    int | None, typer.Option("--connections", help="senders of a worker [default: by the rate]")
]
Workers = Annotated[int, typer.Option("--workers", help="processes that send")]
Rounds = Annotated[
    int, typer.Option("--rounds", help="how often it is sent; with --run the scorer restarts between")
]
Timeout = Annotated[float, typer.Option("--timeout", help="seconds after which an answer is an error")]
AllowHost = Annotated[str | None, typer.Option("--allow-host", help="another machine that may be loaded")]


@load.callback()
def load_tests_of_a_target() -> None:
    """Load tests whose latency counts from the intended send time."""


@load.command()
def run(
    rate: Rate,
    seconds: Seconds,
    out: Out,
    url: Url = None,
    stream: Stream = False,
    arrivals: Arrivals = "poisson",
    body: Body = None,
    p50: P50 = None,
    p90: P90 = None,
    p99: P99 = None,
    p999: P999 = None,
    errors: Errors = None,
    seed: Seed = 1,
    batch: Batch = 1,
    connections: Connections = None,
    workers: Workers = 1,
    rounds: Rounds = 1,
    timeout: Timeout = 10.0,
    allow_host: AllowHost = None,
    run: Run = None,
    spin: Annotated[bool, typer.Option("--spin", help="watch the scheduler from a core of its own")] = False,
) -> None:
    """Send a schedule, and say what the latency was and whether that can be believed.

    Exit code 0: measured, or objectives met; 1: missed; 3: not measured, with the reason; 2: not started.
    """
    from load_tests.load.run.command import run_load
    from load_tests.load.run.options import LoadOptions

    options = LoadOptions(
        rate=rate, seconds=seconds, out=out, url=url, stream=stream, arrivals=arrivals, seed=seed, body=body,
        batch=batch, connections=connections, workers=workers, rounds=rounds, timeout_s=timeout,
        allow_host=allow_host, spin=spin, run=run, objectives=_objectives(p50, p90, p99, p999, errors),
    )  # fmt: skip
    code = run_load(options, lambda line: typer.echo(line, err=False))
    raise typer.Exit(code)


def _objectives(
    p50: str | None, p90: str | None, p99: str | None, p999: str | None, errors: str | None
) -> "Objectives":
    from load_tests.load.verdict.objectives import Objectives, parse_latency, parse_share

    texts = {"p50": p50, "p90": p90, "p99": p99, "p999": p999}
    return Objectives(
        {name: parse_latency(f"--{name}", text) for name, text in texts.items() if text is not None},
        None if errors is None else parse_share("--errors", errors),
    )


@load.command()
def capacity(
    out: Out,
    url: Url = None,
    stream: Stream = False,
    seconds: Annotated[float, typer.Option("--seconds", help="length of a step")] = 10.0,
    first: Annotated[float, typer.Option("--first", help="rate of the first step")] = 50.0,
    most: Annotated[float, typer.Option("--most", help="highest rate")] = 20_000.0,
    fewest: Annotated[int, typer.Option("--fewest", min=1, help="steps after the bracket, at least")] = 8,
    steps: Annotated[int, typer.Option("--steps", min=1, help="steps after the bracket, at most")] = 24,
    arrivals: Arrivals = "poisson",
    body: Body = None,
    p50: P50 = None,
    p90: P90 = None,
    p99: P99 = None,
    p999: P999 = None,
    errors: Errors = None,
    seed: Seed = 1,
    batch: Batch = 1,
    connections: Connections = None,
    workers: Workers = 1,
    timeout: Timeout = 10.0,
    allow_host: AllowHost = None,
    run: Run = None,
) -> None:
    """Find the highest rate that meets the objectives, with an interval; HTTP and stream by one rule.

    Exit code 0: found; 3: not measured, such as where the generator is what saturates.
    """
    from load_tests.load.arrivals.bounds import check_rate
    from load_tests.load.capacity.command import run_capacity
    from load_tests.load.capacity.search import SearchLimits
    from load_tests.load.run.options import LoadOptions

    check_rate(most, "--most")
    options = LoadOptions(
        rate=check_rate(first, "--first"), seconds=seconds, out=out, url=url, stream=stream,
        arrivals=arrivals, seed=seed, body=body, batch=batch, connections=connections, workers=workers,
        timeout_s=timeout, allow_host=allow_host, run=run,
        objectives=_objectives(p50, p90, p99, p999, errors),
    )  # fmt: skip
    limits = SearchLimits(first, most, min(fewest, steps), steps)
    raise typer.Exit(run_capacity(options, limits, typer.echo))


@load.command()
def compare(
    a: Annotated[str, typer.Argument(help="URL, commit, or folder of an earlier load with --rounds")],
    b: Annotated[str, typer.Argument(help="the other one")],
    out: Out,
    rate: Rate = 100.0,
    seconds: Seconds = 15.0,
    turns: Annotated[int, typer.Option("--turns", help="loads of each")] = 6,
    stream: Stream = False,
    body: Body = None,
    seed: Seed = 1,
    connections: Connections = None,
    timeout: Timeout = 10.0,
    allow_host: AllowHost = None,
) -> None:
    """Load two targets in turns and say what differs: median, CPU a transaction, p99.

    Exit code 0: no difference that so many turns detect, or better; 1: B is worse; 3: not measured.
    """
    from load_tests.load.compare.command import run_compare
    from load_tests.load.run.options import LoadOptions

    options = LoadOptions(
        rate=rate, seconds=seconds, out=out, url=None if stream else a, stream=stream, body=body, seed=seed,
        connections=connections, timeout_s=timeout, allow_host=allow_host,
    )  # fmt: skip
    raise typer.Exit(run_compare(a, b, options, turns, typer.echo))


@load.command()
def bill(
    capacity: Annotated[Path, typer.Argument(help="folder of `fraudsim load capacity` with --run")],
    out: Out,
    rate: Annotated[
        list[float] | None,
        typer.Option("--rate", min=0.001, help="rate to bill; repeatable [default: 1000, 10000, 65000]"),
    ] = None,
) -> None:
    """Say what rates would take: fitted below half load, checked against the measured capacity."""
    from load_tests.load.bill.command import run_bill

    raise typer.Exit(run_bill(capacity, out, rate or [1_000.0, 10_000.0, 65_000.0], typer.echo))
