"""The options that the commands of `fraudsim load` share."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from load_tests.load.run.options import LoadOptions
    from load_tests.load.verdict.objectives import Objectives

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


@dataclass(frozen=True, kw_only=True)
class SharedOptions:
    """What `load run` and `load capacity` take alike: target, arrivals, bodies, objectives."""

    out: Out
    url: Url = None
    stream: Stream = False
    arrivals: Arrivals = "poisson"
    body: Body = None
    p50: P50 = None
    p90: P90 = None
    p99: P99 = None
    p999: P999 = None
    errors: Errors = None
    seed: Seed = 1
    batch: Batch = 1
    connections: Connections = None
    workers: Workers = 1
    timeout: Timeout = 10.0
    allow_host: AllowHost = None
    run: Run = None

    def load_options(self, **own: Any) -> "LoadOptions":
        """The options of a load, with those that a command has of its own.

        Raises:
            FraudsimError: one is out of bounds.
        """
        from load_tests.load.run.options import LoadOptions

        return LoadOptions(
            out=self.out, url=self.url, stream=self.stream, arrivals=self.arrivals, seed=self.seed,
            body=self.body, batch=self.batch, connections=self.connections, workers=self.workers,
            timeout_s=self.timeout, allow_host=self.allow_host, run=self.run,
            objectives=self._objectives(), **own,
        )  # fmt: skip

    def _objectives(self) -> "Objectives":
        from load_tests.load.verdict.objectives import Objectives, parse_latency, parse_share

        texts = {"p50": self.p50, "p90": self.p90, "p99": self.p99, "p999": self.p999}
        return Objectives(
            {name: parse_latency(f"--{name}", text) for name, text in texts.items() if text is not None},
            None if self.errors is None else parse_share("--errors", self.errors),
        )


def with_shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the shared options to a command's own; it gets them as its first argument."""
    _, *own = inspect.signature(command).parameters.values()
    hints = get_type_hints(SharedOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=getattr(SharedOptions, field.name, inspect.Parameter.empty),
            annotation=hints[field.name],
        )
        for field in fields(SharedOptions)
    ]

    def with_both(**values: Any) -> None:
        command(SharedOptions(**{one.name: values.pop(one.name) for one in shared}), **values)

    functools.update_wrapper(with_both, command)
    del with_both.__dict__["__wrapped__"]  # its signature lacks the shared options
    with_both.__annotations__ = {one.name: one.annotation for one in (*own, *shared)}
    with_both.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    return with_both
