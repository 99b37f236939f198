"""`fraudsim model experiment start | simulate | status | lifts | stop`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fraudsim.errors import FraudsimError

if TYPE_CHECKING:
    from lifecycle.experiment.state import ExperimentState

experiment = typer.Typer(
    no_args_is_help=True,
    help="Let a model decide for a growing share of the cards, watched, and rolled back by itself.",
)
RegistryFolder = Annotated[
    Path | None,
    typer.Option("--at", help="folder of the registry that a scorer watches  [default: FRAUDSIM_MODEL_DIR]"),
]
EXIT_CODES = {"promoted": 0, "rolled back": 1, "undecided": 3, "stopped": 3, "running": 0}


@experiment.command()
def start(
    version: Annotated[str, typer.Argument(help="version in the registry, or how it begins")],
    run: Annotated[Path, typer.Option(help="folder of the run whose archive is looked at")] = Path(
        "runs/latest"
    ),
    stages: Annotated[
        str, typer.Option(help="a share of the cards and days of event time each; then B is promoted")
    ] = "shadow:3,1%:7,5%:7,25%:28",
    maturity: Annotated[float, typer.Option(help="days after which a payment's net loss counts")] = 7.0,
    salt: Annotated[str | None, typer.Option(help="of the hash of cards  [default: the version]")] = None,
    every: Annotated[float, typer.Option(help="seconds of wall time between two looks")] = 2.0,
    backtest: Annotated[
        Path | None,
        typer.Option(help="folder of this pair's backtest, for the table of lifts  [default: the run's log]"),
    ] = None,
    at: RegistryFolder = None,
) -> None:
    """Begin or go on; exit 0: promoted, 1: rolled back, 3: undecided, stopped. Ctrl-C leaves it as it is."""
    import time

    from fraudsim.settings import load_settings
    from lifecycle.experiment.lift import lift_lines
    from lifecycle.experiment.stages import stages_of
    from lifecycle.experiment.state import read_state
    from lifecycle.live_experiment.record import offline_of_backtest, record_lift
    from lifecycle.live_experiment.watch import LiveExperiment, begin, only_controller
    from model.registry.cli import version_of_prefix
    from model.registry.versions import read_aliases
    from runner.ledger.run_ledger import rules_of
    from scorer.policy.file import load_policy

    settings = load_settings()
    registry = at or settings.model_dir
    if not (every > 0 and maturity >= 0):
        raise FraudsimError(f"--every {every:g} must be above 0, and --maturity {maturity:g} 0 or more")
    planned = stages_of(stages)
    challenger = version_of_prefix(registry, version)
    if not (run / "log").is_dir():
        raise FraudsimError(f"--run {run} has no log folder: name the folder of a run")
    policy = load_policy(settings.policy or run / "policy")
    rules, _ = rules_of(run, settings)
    with only_controller(registry):
        last = read_state(registry)
        if last is not None:
            record_lift(registry, last, settings)  # its watcher may have been killed before it did
        champion = read_aliases(registry).champion
        offline = None if backtest is None else offline_of_backtest(backtest, champion, challenger)
        begin(registry, challenger, salt or challenger, planned, maturity, policy, run, offline)
        live = LiveExperiment(registry, run, policy, rules, typer.echo)
        state = live.look()
        while state.running:
            time.sleep(every)
            state = live.look()
        row = record_lift(registry, state, settings)
    for line in lift_lines([] if row is None else [row], 0):
        typer.echo(line)
    raise typer.Exit(EXIT_CODES[state.status])


@experiment.command()
def simulate(
    a: Annotated[Path, typer.Argument(help="folder of the model that decides today")],
    b: Annotated[Path, typer.Argument(help="folder of the model that may take its role")],
    history: Annotated[Path, typer.Option(help="a history: its world goes on, or its file ends")],
    stages: Annotated[
        str, typer.Option(help="a share of the cards and days of event time each; then B is promoted")
    ] = "shadow:3,1%:7,5%:7,25%:28",
    maturity: Annotated[float, typer.Option(help="days after which a payment's net loss counts")] = 7.0,
    salt: Annotated[str, typer.Option(help="of the hash of cards")] = "experiment",
    at: RegistryFolder = None,
) -> None:
    """Run one in event time, by the fast-forward; its row stands in the table of lifts. Exit as `start`."""
    from fraudsim.settings import load_settings
    from lifecycle.experiment.lift import lift_lines
    from lifecycle.experiment.simulated import SimulatedExperiment, simulate_experiment
    from lifecycle.experiment.stages import stages_of

    settings = load_settings()
    if not maturity >= 0:
        raise FraudsimError(f"--maturity {maturity:g} must be 0 or more")
    plan = SimulatedExperiment(a, b, history, stages_of(stages), maturity, salt)
    state, row = simulate_experiment(plan, at or settings.model_dir, settings, typer.echo)
    for line in (*status_lines(state), *lift_lines([row], 0)):
        typer.echo(line)
    raise typer.Exit(EXIT_CODES[state.status])


@experiment.command()
def lifts(at: RegistryFolder = None) -> None:
    """Show the table that experiments leave: offline gain against online lift."""
    from fraudsim.settings import load_settings
    from lifecycle.experiment.lift import lift_lines, read_lifts

    registry = at or load_settings().model_dir
    if not registry.is_dir():
        raise FraudsimError(f"--at {registry} is no folder; name a registry")
    for line in lift_lines(*read_lifts(registry)):
        typer.echo(line)


@experiment.command()
def status(at: RegistryFolder = None) -> None:
    """Show where the experiment stands: stage, guards, net loss, what would be found."""
    from fraudsim.settings import load_settings
    from lifecycle.experiment.state import read_state

    registry = at or load_settings().model_dir
    state = read_state(registry)
    if state is None:
        raise FraudsimError(f"experiment: there is none in {registry}")
    for line in status_lines(state):
        typer.echo(line)


@experiment.command()
def stop(at: RegistryFolder = None) -> None:
    """End it: B decides for no card any more."""
    from fraudsim.settings import load_settings
    from lifecycle.live_experiment.record import record_lift
    from lifecycle.live_experiment.watch import only_controller
    from lifecycle.live_experiment.watch import stop as end

    settings = load_settings()
    registry = at or settings.model_dir
    state = end(registry)
    typer.echo(f"{state.challenger} was stopped in stage {state.current.name}; {state.champion} decides")
    try:
        with only_controller(registry):
            record_lift(registry, state, settings)
    except FraudsimError as error:
        typer.echo(f"its row in the table of lifts is left to the watcher: {error}")


def status_lines(state: "ExperimentState") -> Iterator[str]:
    """The state in words."""
    yield f"{state.challenger} against champion {state.champion}: {state.status}, stage {state.current.name}"
    if state.reason:
        yield state.reason
    for reading in state.guards.values():
        yield f"  {reading.text}{' CROSSED' if reading.crossed else ''}"
    if state.money is None:
        yield "  no net loss is mature on enough cards"
    else:
        yield from (f"  {line}" for line in state.money.lines)
    for step in state.steps:
        yield f"  {step.stage}: {step.what} at {step.event_ms}"
