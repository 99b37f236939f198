"""The runner's commands: `fraudsim demo`, `up`, `relay`, and those of the other `*_cli` modules."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from fraudsim.settings import Settings
    from runner.line.options import LineOptions

from runner import archive_cli, ledger_cli, one_shots_cli, policy_cli, stack_cli
from scorer.policy_cli import policy

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
app = typer.Typer()
app.add_typer(stack_cli.app, name="stack")
app.add_typer(ledger_cli.app, name="ledger")
policy.command()(policy_cli.curve)  # the scorer may not read the truth, which a curve needs
app.add_typer(archive_cli.app)
app.add_typer(one_shots_cli.app)

SECONDS = typer.Option(
    None, min=1, help="wall seconds of live traffic  [default: 60; with --replay, to the file's end]"
)
RATE = typer.Option(300.0, min=0.1, help="transactions per wall second")
CARDS = typer.Option(5_000, min=10, help="cards of the synthetic world")
DAYS = typer.Option(75, min=10, help="days of history before the first live transaction")
SEED = typer.Option(None, min=0, help="seed of the world  [default: FRAUDSIM_SEED]")
OUT = typer.Option(None, help="the run folder itself  [default: a new one under runs/]")
REPLAY = typer.Option(
    None,
    help="a public dataset to replay instead of the world; its layout is recognised (Handbook, Sparkov, …)",
)
SCRIPT = typer.Option(None, help="scenario file to play on the live stream, see `fraudsim world script`")
SPEED = typer.Option(
    None, min=0.001, help="event seconds per wall second; needed with --replay, else derived"
)
CONSEQUENCES = typer.Option(
    True, help="labels follow from the decisions; else they come as the world has them, whatever is decided"
)
SHARDS = typer.Option(1, min=1, max=64, help="processes that share the sending by card")
REACTING = typer.Option(
    False,
    "--reacting",
    help="fraud campaigns and customers react to what stops their payments",
)
FEATURES_LAG = typer.Option(
    None,
    help="leave events of the last 10s, 5m, 1h or 1d of event time out of the scorer's features, for "
    "experiments  [default: FRAUDSIM_FEATURES_LAG]",
)
ENGINE = typer.Option("faust", help="what folds the log: faust, or spark (`make setup-spark`)")
TRIGGER = typer.Option(None, help="interval of Spark's batches, such as 0.5s, 1s or 1m  [default: 1s]")
MASTER = typer.Option(None, help="Spark's master, such as spark://host:7077  [default: this machine's cores]")
PAGE = typer.Option(False, "--page", help="serve the live page, whose address is printed")
NO_PAGE = typer.Option(True, "--page/--no-page", help="serve the live page, whose address is printed")
CONTROLS = typer.Option(
    None,
    "--controls/--no-controls",
    help="let the live page pause the run, launch attacks on it, kill its parts, switch model and policy  "
    "[default: `up` on the loopback]",
)
BESIDE = typer.Option(
    None,
    help="decide everything a second time as a batch this old would, 1h or 1d of event time, for the page",
)
DRIFT = typer.Option(False, "--drift", help="compare each week of event time with the weeks before it")
RETRAIN = typer.Option(
    None, help="retrain the model whenever so much event time has passed, as 7d; each becomes a shadow"
)
RETRAIN_ON = typer.Option(
    [], help="retrain the model when this asks for it: drift, performance or money; runs --drift too"
)
PROMOTE_AFTER = typer.Option(
    None, help="let a retrained shadow decide after so much event time, as 7d, if it costs no more"
)
REUSE = typer.Option(None, help="copy history and model from an earlier run folder")


@app.command()
def demo(
    seconds: float | None = SECONDS,
    rate: float = RATE,
    cards: int = CARDS,
    history_days: int = DAYS,
    seed: int | None = SEED,
    out: Path | None = OUT,
    replay: Path | None = REPLAY,
    script: Path | None = SCRIPT,
    speed: float | None = SPEED,
    consequences: bool = CONSEQUENCES,
    reacting: bool = REACTING,
    reuse: Path | None = REUSE,
    shards: int = SHARDS,
    features_lag: str | None = FEATURES_LAG,
    engine: str = ENGINE,
    trigger: str | None = TRIGGER,
    master: str | None = MASTER,
    page: bool = PAGE,
    controls: bool | None = CONTROLS,
    beside: str | None = BESIDE,
    drift: bool = DRIFT,
    retrain_every: str | None = RETRAIN,
    retrain_on: list[str] = RETRAIN_ON,
    promote_after: str | None = PROMOTE_AFTER,
) -> None:
    """Run everything once: Kafka, Redis, history, training, live traffic, summary. Nothing stays behind."""
    arguments = {**locals(), "seconds": 60.0 if seconds is None and replay is None else seconds}
    from runner.line.demo import run_demo

    with exit_on_termination():
        summary = run_demo(*_options(**arguments))
    if summary["lost"] or summary["duplicated"] or summary["parity"]["mismatches"]:
        raise typer.Exit(1)


@app.command()
def up(
    rate: float = RATE,
    cards: int = CARDS,
    history_days: int = DAYS,
    seed: int | None = SEED,
    out: Path | None = OUT,
    replay: Path | None = REPLAY,
    script: Path | None = SCRIPT,
    speed: float | None = SPEED,
    consequences: bool = CONSEQUENCES,
    reacting: bool = REACTING,
    reuse: Path | None = REUSE,
    shards: int = SHARDS,
    features_lag: str | None = FEATURES_LAG,
    engine: str = ENGINE,
    trigger: str | None = TRIGGER,
    master: str | None = MASTER,
    page: bool = NO_PAGE,
    controls: bool | None = CONTROLS,
    beside: str | None = BESIDE,
    drift: bool = DRIFT,
    retrain_every: str | None = RETRAIN,
    retrain_on: list[str] = RETRAIN_ON,
    promote_after: str | None = PROMOTE_AFTER,
) -> None:
    """Keep the whole line running until Ctrl-C."""
    arguments = locals()
    from runner.line.demo import run_up

    with exit_on_termination():
        run_up(*_options(seconds=None, **arguments))


@app.command(hidden=True)
def relay() -> None:
    """Run the null pipeline's relay."""
    from fraudsim.settings import load_settings
    from runner.line.null_relay import run_relay

    run_relay(load_settings())


@contextmanager
def exit_on_termination() -> Iterator[None]:
    """End a command that was stopped by a signal with that signal's exit code, without a traceback."""
    from runner.supervise.foreground import Termination

    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Termination as termination:
        raise typer.Exit(termination.exit_code) from None


def _checked_lag(beside: str | None) -> str | None:
    from fraudsim.errors import FraudsimError
    from fraudsim.settings import load_settings, with_features_lag

    if beside is not None and not with_features_lag(load_settings(), beside, "--beside").features_lag_ms:
        raise FraudsimError(f"--beside {beside}: without a lag it is what the line does itself; try 1h")
    return beside


def _are_controls_on(options: "LineOptions", settings: "Settings", wish: bool | None) -> bool:
    """Raises FraudsimError where controls are asked for and the run cannot have them."""
    from fraudsim.errors import FraudsimError

    possible = not (options.replay or options.script or options.shards > 1)
    if wish is None:
        on_loopback = settings.page_host in LOOPBACK
        return possible and (settings.controls or (options.seconds is None and options.page and on_loopback))
    if wish and not possible:
        raise FraudsimError("--controls needs the world, without a script and in one shard: see docs/page.md")
    return wish


def _options(
    *, seed: int | None, out: Path | None, replay: Path | None, script: Path | None, reuse: Path | None,
    speed: float | None, features_lag: str | None = None, controls: bool | None = None,
    beside: str | None = None, **line_options: Any,
) -> tuple["LineOptions", "Settings"]:  # fmt: skip
    """The options and settings of a run. Raises FraudsimError for an option that cannot be met."""
    from fraudsim.errors import FraudsimError
    from fraudsim.settings import load_settings, with_features_lag
    from runner.line.options import LineOptions, check_retraining
    from runner.line.preparation import check_prepared_speed
    from runner.record.run_folder import make_run_folder, new_run_path, reusable_run
    from stream_features.engines import check_engine

    settings = with_features_lag(load_settings(), features_lag)
    if seed is not None:
        settings = settings.model_copy(update={"seed": seed})
    if replay is not None and not replay.exists():
        raise FraudsimError(f"--replay {replay} does not exist")
    if replay is not None:
        from producers.datasets.registry import layout_of

        layout_of(replay)  # raises for a file that cannot be replayed, before any process starts
    if script is not None:
        from producers.scenario.script_file import read_script

        read_script(script)
    if replay is not None and speed is None:
        raise FraudsimError("--replay needs --speed: event seconds per wall second, for example --speed 2000")
    line_options["retrain_on"] = tuple(dict.fromkeys(line_options.get("retrain_on", ())))
    options = LineOptions(
        run_dir=new_run_path(settings.runs_dir, out),
        replay=replay.resolve() if replay is not None else None,
        script=script.resolve() if script is not None else None,
        reuse=reusable_run(reuse) if reuse is not None else None,
        speed=speed,
        controls=False,
        beside=_checked_lag(beside),
        **line_options,
    )
    options = replace(options, controls=_are_controls_on(options, settings, controls))
    if options.reacting and (options.replay or not options.consequences or options.shards > 1):
        raise FraudsimError("--reacting needs the world, its consequences and one shard: see docs/world.md")
    check_retraining(options)
    check_engine(options.engine, options.trigger, options.master)
    check_prepared_speed(options)
    make_run_folder(settings.runs_dir, options.run_dir)  # last: a refused option leaves no folder
    return options, settings
