"""`fraudsim worker` and `fraudsim features …`: the feature worker, priming, parity."""

from pathlib import Path

import typer

app = typer.Typer()
features = typer.Typer(no_args_is_help=True, help="The feature state in Redis: prime, initialise, check.")
app.add_typer(features, name="features")


@app.command()
def worker() -> None:
    """Fold the transaction log into the feature state (a Faust worker)."""
    from fraudsim.settings import load_settings
    from stream_features.worker import run_worker

    run_worker(load_settings())


@features.command()
def prime(
    history: Path = typer.Option(..., help="folder with transactions.parquet and labels.parquet"),
    force: bool = typer.Option(False, help="replace the state of another log or history"),
) -> None:
    """Fill Redis with a history's state; the same history again is a no-op."""
    from fraudsim.clock_log import open_clock
    from fraudsim.settings import load_settings
    from stream_features.prime import (
        check_history,
        history_fingerprint,
        read_history_tables,
        state_of_history,
    )
    from stream_features.prime import prime as write

    settings = load_settings()
    segment = open_clock(settings).clock.first
    fingerprint = history_fingerprint(history)
    check_history(fingerprint, segment)
    transactions, labels = read_history_tables(history)
    table = state_of_history(transactions, labels, segment.event_epoch_ms, segment.horizon_ms)
    typer.echo(
        f"{write(settings, segment, table, fingerprint, force=force)}: "
        f"{len(table):,} keys in {settings.slots} slots"
    )


@features.command()
def init(force: bool = typer.Option(False, help="replace what is there")) -> None:
    """Start with empty state, for a log without a history."""
    from fraudsim.clock_log import open_clock
    from fraudsim.settings import load_settings
    from stream_features.prime import prime as write

    settings = load_settings()
    typer.echo(write(settings, open_clock(settings).clock.first, {}, "", force=force))


@features.command("list")
def list_features() -> None:
    """Print the catalogue."""
    from rich.console import Console
    from rich.table import Table

    from stream_features.catalogue import FEATURES, HASH

    table = Table("feature", "entity", "aggregate", "window", "unit", "meaning", title=f"catalogue {HASH}")
    for f in FEATURES:
        window = f"{f.window_ms / 1000:g} s" if f.window_ms else ""
        table.add_row(f.name, f.entity, f.aggregate, window, f.unit, f.description)
    Console().print(table)


@features.command()
def parity(
    run: Path = typer.Option(Path("runs/latest"), help="run folder with an archived log"),
    sample: int = typer.Option(200, min=0, help="vectors computed by brute force too"),
    json_file: Path | None = typer.Option(None, "--json", help="write the result here"),
) -> None:
    """Recompute every served vector from exactly the log prefix it names; exit 1 on a difference."""
    from fraudsim.settings import load_settings
    from stream_features.parity import check_parity, write_result

    result = check_parity(run, run / "history", load_settings(), sample)
    if json_file is not None:
        write_result(result, json_file)
    typer.echo(
        f"{result.vectors:,} vectors of {result.features} features, {result.by_brute_force} by brute force: "
        f"{result.mismatches} values differ, {result.uncertain} decisions uncertain, "
        f"{result.degraded} degraded"
    )
    for example in result.examples:
        typer.echo(f"  {example}")
    if result.mismatches:
        raise typer.Exit(1)
