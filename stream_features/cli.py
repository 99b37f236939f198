"""The commands `fraudsim worker` and `fraudsim features …`."""

from pathlib import Path

import typer

from fraudsim.errors import FraudsimError
from fraudsim.process.terminal import plain_console

app = typer.Typer()
features = typer.Typer(no_args_is_help=True, help="The feature state in Redis: prime, initialise, check.")
app.add_typer(features, name="features")


@app.command()
def worker(
    engine: str = typer.Option("faust", help="what folds: faust, or spark (`make setup-spark`)"),
    trigger: str | None = typer.Option(
        None, help="interval of Spark's batches, such as 0.5s, 1s or 1m  [default: 1s]"
    ),
    master: str | None = typer.Option(
        None, help="Spark's master, such as spark://host:7077  [default: this machine's cores]"
    ),
) -> None:
    """Fold the transaction log into the feature state, on Faust or on Spark Structured Streaming."""
    from fraudsim.settings import load_settings
    from stream_features.engines import run_engine

    run_engine(load_settings(), engine, trigger, master)


@features.command()
def prime(
    history: Path = typer.Option(..., help="folder with transactions.parquet and labels.parquet"),
    force: bool = typer.Option(False, help="replace the state of another log or history"),
) -> None:
    """Fill Redis with a history's state; the same history again is a no-op."""
    from fraudsim.log.clock_log import SHORT_WAIT_S, open_clock
    from fraudsim.settings import load_settings
    from stream_features.offline.history_tables import history_fingerprint, read_history_tables
    from stream_features.store.prime import check_history, state_of_history
    from stream_features.store.prime import prime as write
    from stream_features.store.redis_access import check_answers

    settings = load_settings()
    segment = open_clock(settings, SHORT_WAIT_S).clock.first
    check_answers(settings)  # before the work of minutes
    fingerprint = history_fingerprint(history)
    check_history(fingerprint, segment)
    transactions, labels = read_history_tables(history)
    table = state_of_history(transactions, labels, segment.event_epoch_ms, segment.horizon_ms)
    typer.echo(
        f"{write(settings, segment, table, fingerprint, labels=labels, force=force)}: "
        f"{len(table):,} keys in {settings.slots} slots"
    )


@features.command()
def rebuild(
    run: Path = typer.Option(Path("runs/latest"), help="run folder with an archived log"),
    history: Path | None = typer.Option(None, help="the history's folder  [default: the run's own]"),
    slot: list[int] = typer.Option([], help="only this slot; may be given again  [default: all]"),
) -> None:
    """Restore the state from history and archive, after losing Redis or part of the log."""
    from fraudsim.settings import load_settings
    from stream_features.store.rebuild import rebuild as restore

    result = restore(load_settings(), run, history, slot)
    typer.echo(
        f"rebuilt {result.slots} slots from {result.keys:,} keys and {result.records:,} records; "
        f"folding goes on after offsets {result.ends}"
    )
    if result.holes:
        typer.echo(f"the archive lacks records, which the log still has: {', '.join(result.holes)}")


@features.command()
def connector() -> None:
    """Print the jars of Spark's connector to Kafka, as `spark-submit --jars` takes them."""
    from fraudsim.settings import load_settings
    from stream_features.worker.spark.connector import connector_jars

    typer.echo(",".join(map(str, connector_jars(load_settings()))))


@features.command()
def init(force: bool = typer.Option(False, help="replace the state that Redis holds")) -> None:
    """Start with empty state, for a log without a history."""
    from fraudsim.log.clock_log import SHORT_WAIT_S, open_clock
    from fraudsim.settings import load_settings
    from stream_features.store.prime import prime as write

    settings = load_settings()
    typer.echo(write(settings, open_clock(settings, SHORT_WAIT_S).clock.first, {}, "", force=force))


@features.command()
def inspect(
    entity: str = typer.Argument(help="card, device, merchant or ip"),
    key: str = typer.Argument(help="id of the entity"),
    at: int | None = typer.Option(None, help="event time, ms UTC  [default: the run's clock now]"),
    amount_cents: int = typer.Option(
        0, min=0, help="amount of the transaction at hand, which every window includes"
    ),
) -> None:
    """Show one key's state in Redis, and the features of a transaction at this moment."""
    import math
    from datetime import UTC, datetime

    from rich.table import Table

    from fraudsim.log.clock import event_span
    from fraudsim.settings import load_settings
    from stream_features.store.key_inspection import inspect_key

    inspection = inspect_key(load_settings(), entity, key, at, amount_cents)

    def utc(ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(" ", "milliseconds")

    contents = ", ".join(f"{count:,} {kind}" for kind, count in inspection.contents.items())
    typer.echo(f"{entity} {key}: slot {inspection.slot}, {inspection.stored_bytes:,} bytes, {contents}")
    if inspection.newest_ms is None:
        typer.echo("never seen in 30 days")
    else:
        typer.echo(f"newest transaction {utc(inspection.newest_ms)}")
    typer.echo(
        f"folded to offsets {list(inspection.watermark.offsets)}, state {inspection.behind_ms:,.0f} ms old, "
        f"{event_span(inspection.behind_ms, inspection.speed)} of event time"
    )
    table = Table("feature", "value", "unit", "meaning", title=f"at {utc(inspection.at_ms)}")
    for feature, value in inspection.features:
        text = "null" if math.isnan(value) else f"{value:,.6g}"
        table.add_row(feature.name, text, feature.unit, feature.description)
    plain_console().print(table)


@features.command()
def catalogue(
    markdown_file: Path | None = typer.Option(
        None, "--markdown", help="write it to this file as a page instead"
    ),
) -> None:
    """Print the catalogue, or write its page."""
    from rich.table import Table

    from fraudsim.whole_files import write_whole
    from stream_features.catalogue.features import FEATURES, HASH
    from stream_features.catalogue.page import render_markdown, table_row

    if markdown_file is not None:
        try:
            write_whole(markdown_file, render_markdown())
        except OSError as error:
            raise FraudsimError(f"features catalogue: --markdown {markdown_file}: {error.strerror}") from None
        typer.echo(f"{len(FEATURES)} features of catalogue {HASH} written to {markdown_file}")
        return
    headings = ("feature", "aggregate", "window", "tail", "head", "unit", "meaning", "null")
    table = Table(*headings, title=f"catalogue {HASH}: {len(FEATURES)} features")
    for feature in FEATURES:
        table.add_row(*table_row(feature))
    plain_console().print(table)


@features.command()
def compute(
    source: Path = typer.Argument(help="a history's folder, or a run's: the features of its log"),
    out: Path = typer.Option(..., help="folder to write Parquet into; must not exist"),
    engine: str = typer.Option("kernel", help="kernel, duckdb or spark"),
    lag_ms: int = typer.Option(0, min=0, help="leave out events known for less than this time"),
) -> None:
    """Compute every transaction's features at its own time, by one of the offline engines."""
    from stream_features.offline.compute import compute as write

    count = write(engine, source, out, lag_ms)
    typer.echo(f"{count:,} transactions with their features written to {out} by {engine}")


@features.command()
def parity(
    run: Path = typer.Option(Path("runs/latest"), help="run folder with an archived log"),
    sample: int = typer.Option(
        5_000, min=0, help="vectors computed by DuckDB too, preferably hot and stale ones"
    ),
    brute_force: int = typer.Option(40, min=0, help="vectors computed by brute force too"),
    seed: int = typer.Option(1, min=0, help="seed of both samples"),
    json_file: Path | None = typer.Option(None, "--json", help="write the result here"),
) -> None:
    """Recompute every served vector from exactly the log prefix it names; exit 1 on a difference."""
    from fraudsim.settings import load_settings
    from stream_features.parity.check import ParityPlan, check_parity, write_result

    plan = ParityPlan(brute_force, sample, seed, staleness=True)
    result = check_parity(run, run / "history", load_settings(), plan)
    if json_file is not None:
        write_result(result, json_file)
    typer.echo(
        f"{result.vectors:,} vectors of {result.features} features, {result.by_duckdb:,} by DuckDB and "
        f"{result.by_brute_force:,} by brute force too: {result.mismatches:,} values differ; "
        f"not compared: {result.uncertain:,} decisions uncertain, {result.degraded:,} degraded, "
        f"{result.missing_pending:,} with what never reached the log"
    )
    for name, count in sorted(result.by_feature.items(), key=lambda item: -item[1]):
        typer.echo(f"  {name}: {count:,} values differ")
        for example in result.examples[name]:
            recomputed = f"{example['engine']} {example['recomputed']}"
            typer.echo(f"    {example['tx_id']}: served {example['served']}, {recomputed}")
    effects = sorted(result.staleness_effect.items(), key=lambda item: -item[1]["share"])
    for name, effect in effects[:5]:
        if effect["share"]:
            typer.echo(
                f"  staleness: {name} differs from everything before now in {effect['share']:.2%} of "
                f"vectors, by {effect['mean_difference']:.4g} in the mean"
            )
    if result.mismatches:
        raise typer.Exit(1)
