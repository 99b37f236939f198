"""`fraudsim simulate`."""

from pathlib import Path

import typer

from fraudsim.errors import FraudsimError
from fraudsim.process.terminal import plain_console

app = typer.Typer()


@app.command()
def simulate(
    history: Path = typer.Option(..., help="folder of a history; a world goes on where it ends"),
    regime: str = typer.Option("real-time", help="how fresh features are, and when a decision acts"),
    out: Path = typer.Option(..., help="folder of the run, which must not exist"),
    period: str | None = typer.Option(None, help="time between two starts of the regime's job, as 6h"),
    duration: str | None = typer.Option(None, help="the job's duration, or the pipeline's delay, as 5m"),
    days: int = typer.Option(28, min=1, max=3650, help="days of event time"),
    model: Path | None = typer.Option(None, help="folder of a model  [default: one trained for the regime]"),
    skewed: bool = typer.Option(
        False, "--skewed", help="train on fresh features, whatever the regime serves"
    ),
    policy: Path | None = typer.Option(None, help="folder of a policy  [default: FRAUDSIM_POLICY]"),
    seed: int | None = typer.Option(None, min=0, help="of replies and verdicts  [default: the world's]"),
    reacting: bool = typer.Option(False, "--reacting", help="campaigns of fraud react to what stops them"),
    vectors: bool = typer.Option(True, help="write vectors, log prefixes and reasons"),
) -> None:
    """Run the line in event time without waiting: no Kafka, no Redis, days in seconds."""
    from fraudsim.process.garbage_collection import freeze_gc
    from fraudsim.settings import load_settings
    from simulator.regimes import regime_of, span_ms
    from simulator.simulate import SimulationPlan
    from simulator.simulate import simulate as run

    if model is not None and skewed:
        raise FraudsimError("--skewed says how a model is trained: leave out --model or --skewed")
    chosen = regime_of(
        regime,
        None if period is None else span_ms(period, "--period"),
        None if duration is None else span_ms(duration, "--duration"),
    )
    plan = SimulationPlan(history, chosen, out, days, model, skewed, policy, seed, reacting, vectors)
    freeze_gc()
    console = plain_console()
    with console.status("reading the history") as status:
        summary = run(plan, load_settings(), status.update)
    actions = ", ".join(f"{count:,} {action}" for action, count in summary["actions"].items())
    typer.echo(f"{summary['decided']:,} decisions of {days} days under {regime}: {actions}")
    loss = summary["ledger"]["net_loss_cents_per_1000_cards_week"]
    typer.echo(
        f"net loss {loss / 100:,.2f} per 1,000 cards and week; "
        f"{summary['decisions_per_second']:,.0f} decisions a second"
    )
    typer.echo(f"summary: {out}/summary.json   log: {out}/log")


@app.command()
def proof(
    run: Path = typer.Option(Path("runs/latest"), help="folder of a live run"),
    generate: bool = typer.Option(True, help="also generate the run's time again from its history"),
    batch: str | None = typer.Option(
        None, help="interval of the batches of a run that was decided by batches alone, such as 1m"
    ),
) -> None:
    """Prove on a live run that the fast-forward is the line; exit 1 where it is not."""
    from fraudsim.settings import load_settings
    from simulator.proof.decided_again import decide_again
    from simulator.proof.generated_again import generate_again
    from simulator.proof.lagged_job import compare_with_batches, compare_with_job
    from simulator.regimes import span, span_ms

    settings = load_settings()
    again = decide_again(run, settings)
    typer.echo(
        f"decided again: {again.decisions:,} decisions, {again.vectors_differ:,} vectors, "
        f"{again.scores_differ:,} scores and {again.actions_differ:,} actions differ; not compared: "
        f"{again.limited:,} actions under a daily limit, {again.left_out:,} decisions"
    )
    holds = again.holds
    if generate:
        generated = generate_again(run, settings)
        holds &= generated.holds
        typer.echo(
            f"generated again: {generated.transactions:,} transactions, "
            f"{generated.transactions_differ:,} differ; {generated.decisions:,} decisions, "
            f"{generated.vectors_differ:,} vectors and {generated.actions_differ:,} actions "
            f"differ, {generated.unexplained:,} unexplained"
        )
        for cause, count in generated.causes.items():
            typer.echo(f"  {cause}: {count:,}")
        if generated.lag_ms or batch is not None:
            if batch is not None:
                job = compare_with_batches(run, settings, span_ms(batch, "--batch"))
            else:
                job = compare_with_job(run, settings)
            for name, mean in (("flagged", job.flagged), ("score", job.score)):
                typer.echo(
                    f"a job every {span(job.period_ms)} beside the line's lag of {span(job.lag_ms)} at "
                    f"{job.speed:,.0f} event s per s: {name} {mean.simulated:.4f} and {mean.live:.4f}, "
                    f"difference {mean.low:+.4f} to {mean.high:+.4f}"
                )
                holds &= mean.agrees
    if not holds:
        raise typer.Exit(1)
