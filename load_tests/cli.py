"""`fraudsim bench`: figures measured beside a rival in one run."""

from pathlib import Path
from typing import Annotated

import typer

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
    import msgspec

    from fraudsim.errors import FraudsimError
    from load_tests.bench_world import bench_world

    report = bench_world(cards, days, turns)
    try:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    except OSError as error:
        raise FraudsimError(f"bench: --json {json}: {error.strerror}") from None
    ours, rival = report["results"]
    typer.echo(
        f"world: {ours['value']:,} tx/s to Parquet on one core, the Handbook's algorithm "
        f"{rival['value']:,}: {report['ratios']['handbook']:.1f} times as fast ({json})"
    )
