"""`fraudsim load`: open-loop load tests with a verdict."""

from pathlib import Path
from typing import Annotated

import typer

from load_tests.load_options import (
    AllowHost,
    Body,
    Connections,
    Out,
    Rate,
    Rounds,
    Seconds,
    Seed,
    SharedOptions,
    Stream,
    Timeout,
    with_shared_options,
)

load = typer.Typer(no_args_is_help=True, help="Load tests whose latency counts from the intended send time.")


@load.callback()
def load_tests_of_a_target() -> None:
    """Load tests whose latency counts from the intended send time."""


@load.command()
@with_shared_options
def run(
    shared: SharedOptions,
    *,
    rate: Rate,
    seconds: Seconds,
    rounds: Rounds = 1,
    spin: Annotated[bool, typer.Option("--spin", help="watch the scheduler from a core of its own")] = False,
) -> None:
    """Send a schedule, and say what the latency was and whether that can be believed.

    Exit code 0: measured, or objectives met; 1: missed; 3: not measured, with the reason; 2: not started.
    """
    from load_tests.load.run.command import run_load

    options = shared.load_options(rate=rate, seconds=seconds, rounds=rounds, spin=spin)
    raise typer.Exit(run_load(options, lambda line: typer.echo(line, err=False)))


@load.command()
@with_shared_options
def capacity(
    shared: SharedOptions,
    *,
    seconds: Annotated[float, typer.Option("--seconds", help="length of a step")] = 10.0,
    first: Annotated[float, typer.Option("--first", help="rate of the first step")] = 50.0,
    most: Annotated[float, typer.Option("--most", help="highest rate")] = 20_000.0,
    fewest: Annotated[int, typer.Option("--fewest", min=1, help="steps after the bracket, at least")] = 8,
    steps: Annotated[int, typer.Option("--steps", min=1, help="steps after the bracket, at most")] = 24,
) -> None:
    """Find the highest rate that meets the objectives, with an interval; HTTP and stream by one rule.

    Exit code 0: found; 3: not measured, such as where the generator is what saturates.
    """
    from load_tests.load.arrivals.bounds import check_rate
    from load_tests.load.capacity.command import run_capacity
    from load_tests.load.capacity.search import SearchLimits

    check_rate(most, "--most")
    options = shared.load_options(rate=check_rate(first, "--first"), seconds=seconds)
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
    reuse: Annotated[
        Path | None, typer.Option("--reuse", help="run folder whose history and model the lines take")
    ] = None,
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
    raise typer.Exit(run_compare(a, b, options, turns, typer.echo, reuse))


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
