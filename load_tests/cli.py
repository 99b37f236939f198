"""`fraudsim bench`: figures measured beside a rival in one run."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fraudsim.errors import FraudsimError

app = typer.Typer()
bench = typer.Typer(no_args_is_help=True, help="Benchmarks against peers; each writes JSON.")
app.add_typer(bench, name="bench")


@bench.callback()
def of_peers() -> None:
    """Benchmarks against peers; each writes JSON."""


@bench.command()
def world(
    json: Annotated[Path, typer.Option("--json", help="file to write the report into")],
    cards: Annotated[int, typer.Option("--cards", min=1, help="cards, and customers of the rival")] = 5000,
    days: Annotated[int, typer.Option("--days", min=1, help="days of transactions")] = 30,
    turns: Annotated[int, typer.Option("--turns", min=1, help="times that each is run")] = 3,
) -> None:
    """Measure the world's generator beside the Fraud Detection Handbook's algorithm."""
    from load_tests.bench_world import bench_world

    report = bench_world(cards, days, turns)
    write_report(json, report)
    ours, rival = report["results"]
    typer.echo(
        f"world: {ours['value']:,} tx/s to Parquet on one core, the Handbook's algorithm "
        f"{rival['value']:,}: {report['ratios']['handbook']:.1f} times as fast ({json})"
    )


@bench.command()
def kernel(
    json: Annotated[Path, typer.Option("--json", help="file to write the report into")],
    turns: Annotated[int, typer.Option("--turns", min=1, help="times that each case is run")] = 5,
) -> None:
    """Measure folding and reading one key, from 10 to 100,000 events, and a scan for each feature beside."""
    from load_tests.bench_kernel import TYPICAL, bench_kernel, value_of

    report = bench_kernel(turns=turns)
    write_report(json, report)
    results, ratios = report["results"], report["ratios"]
    for entity, events in TYPICAL:
        typer.echo(
            f"{entity} with {events} events in 30 days: read {value_of(results, entity, 'read'):.2f} µs "
            f"({ratios[f'{entity} scan per feature']:.1f} times as fast as a scan per feature), "
            f"append {value_of(results, entity, 'append'):.2f} µs ({json})"
        )


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON.

    Raises:
        FraudsimError: the file cannot be written.
    """
    import msgspec

    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    except OSError as error:
        raise FraudsimError(f"bench: --json {path}: {error.strerror}") from None
