"""`fraudsim world`: histories of the synthetic world or of a public file, and what they hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from producers.history.manifest import HistoryManifest

app = typer.Typer(no_args_is_help=True, help="The synthetic world: cards, merchants, fraud and late labels.")


@app.command()
def generate(
    out: Annotated[Path, typer.Option("--out", help="folder to write the history into")],
    cards: Annotated[int, typer.Option("--cards", min=1, help="cards in the world")] = 5000,
    days: Annotated[int, typer.Option("--days", min=1, help="days of history, from 2024-01-01")] = 60,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="seed of the world; FRAUDSIM_SEED if absent")
    ] = None,
    tempo: Annotated[
        float | None,
        typer.Option("--tempo", help="how many times as fast attacks go; FRAUDSIM_WORLD__TEMPO if absent"),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="processes that make the days")] = 1,
) -> None:
    """Write transactions.parquet, labels.parquet, truth.parquet and manifest.json."""
    from fraudsim.settings import load_settings
    from producers.history.writer import write_history
    from producers.progress import progress
    from producers.world.settings import world_config
    from producers.world.world import World

    world = World(world_config(load_settings(), cards, seed, tempo))
    with progress("days of history", days) as on_day:
        manifest = write_history(out, world, days, on_day, workers)
    _print_summary(out, manifest)


def _print_summary(out: Path, manifest: "HistoryManifest") -> None:
    typer.echo(
        f"{out}: {manifest.transactions:,} transactions of {manifest.cards:,} cards over "
        f"{manifest.days} days, {manifest.fraud_rate:.3%} fraud, {manifest.labels:,} labels"
    )
    typer.echo(
        f"{manifest.seconds:.1f} s, {manifest.tx_per_second:,.0f} tx/s, "
        f"fingerprint {manifest.fingerprint[:16]}"
    )


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="public file; its layout is found by its header")],
    out: Annotated[Path, typer.Option("--out", help="folder to write the history into")],
    share: Annotated[
        float, typer.Option("--share", min=0.01, max=1.0, help="share of its days, from the first on")
    ] = 1.0,
) -> None:
    """Write a public file as a history: the events that `demo --replay` plays live, and their late labels."""
    from fraudsim.settings import load_settings
    from producers.datasets.registry import read_dataset
    from producers.world.settings import label_delays

    dataset = read_dataset(file, label_delays(load_settings()))
    split_ms = dataset.end_ms if share == 1.0 else dataset.split_ms(share)
    manifest = dataset.write_history(out, split_ms)
    typer.echo(f"{file}: layout {dataset.layout.name}, {sum(dataset.dropped.values()):,} rows left out")
    for doubt, count in dataset.doubts.items():
        typer.echo(f"{file}: warning: {count:,} ids of {doubt}")
    _print_summary(out, manifest)


@app.command()
def describe(
    directory: Annotated[Path, typer.Argument(help="folder of a history")],
    out: Annotated[
        Path | None, typer.Option("--out", help="also write one page with plots, an HTML file")
    ] = None,
) -> None:
    """Print volumes, fraud by typology, labels by source with their delays, and the hours of the day."""
    from producers.history.reader import read_history
    from producers.page.text_table import describe_history

    history = read_history(directory)
    typer.echo(describe_history(history))
    if out is not None:
        from producers.page.page import write_page

        write_page(history, out)
        typer.echo(f"\n{out}")


@app.command()
def audit(
    directory: Annotated[Path, typer.Argument(help="folder of a history")],
    json: Annotated[Path | None, typer.Option("--json", help="also write every check as JSON")] = None,
) -> None:
    """Check a history for leaks of the truth and for broken order; exit with 1 if one is found."""
    from producers.audit.history_audit import audit_history
    from producers.audit.report import audit_table, write_audit
    from producers.history.reader import read_history

    result = audit_history(read_history(directory))
    typer.echo(audit_table(result))
    if json is not None:
        write_audit(json, result)
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def script(
    file: Annotated[Path, typer.Argument(help="scenario file, YAML")],
    check: Annotated[bool, typer.Option("--check", help="only check it")] = False,
) -> None:
    """Check a scenario file for `demo --script`, and print what happens when."""
    from producers.scenario.script_file import describe_script, read_script

    scenario = read_script(file)
    typer.echo(f"{file}: {len(scenario.events)} events" if check else describe_script(scenario))
