"""`fraudsim stack up | down | status | run`: a real Kafka and Redis on this machine, without Docker."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from fraudsim.errors import FraudsimError

app = typer.Typer(help="A local Kafka and Redis, without Docker.", no_args_is_help=True)

Directory = Annotated[
    Path | None, typer.Option("--dir", help="folder of the stack; default: `stack` in the folder of runs")
]


def _stack_folder(directory: Path | None) -> Path:
    from fraudsim.settings import load_settings

    return (directory or load_settings().runs_dir / "stack").absolute()


@app.command()
def up(
    directory: Directory = None,
    reuse: Annotated[bool, typer.Option("--reuse", help="keep the log of the last stack here")] = False,
) -> None:
    """Start a stack that stays, and print the variables for fraudsim: eval "$(fraudsim stack up)"."""
    from fraudsim.addresses import mask_password
    from fraudsim.settings import load_settings
    from runner.stack import service as stack_service
    from runner.stack.stack import environment

    folder = _stack_folder(directory)
    addresses = stack_service.addresses(folder)
    if addresses is not None:
        typer.echo(f"the stack in {folder} is already up", err=True)
    else:
        addresses = stack_service.bring_up(folder, load_settings(), fresh=not reuse)
        typer.echo(f"the stack in {folder} is up; end it with `stack down`", err=True)
    is_shown = sys.stdout.isatty()
    for name, value in environment(addresses).items():
        typer.echo(f"export {name}={mask_password(value) if is_shown else value}")
    if is_shown:
        typer.echo('with the password, for this shell: eval "$(fraudsim stack up)"', err=True)


@app.command()
def down(directory: Directory = None) -> None:
    """End the stack and wait until its processes are gone."""
    from runner.stack import service as stack_service

    folder = _stack_folder(directory)
    was_up = stack_service.bring_down(folder)
    typer.echo(f"the stack in {folder} is down" if was_up else f"no stack runs in {folder}", err=True)


@app.command()
def status(directory: Directory = None) -> None:
    """Ask both servers, each in its own protocol; exit code 1 unless both answer."""
    from fraudsim.addresses import mask_password
    from runner.stack import service as stack_service
    from runner.stack.kafka_server import kafka_answers
    from runner.stack.redis_server import redis_answers

    folder = _stack_folder(directory)
    addresses = stack_service.addresses(folder)
    if addresses is None:
        typer.echo(f"no stack runs in {folder}")
        raise typer.Exit(1)
    answers = {
        f"Kafka {addresses.kafka_bootstrap}": kafka_answers(addresses.kafka_bootstrap),
        f"Redis {mask_password(addresses.redis_url)}": redis_answers(addresses.redis_url),
    }
    for name, is_up in answers.items():
        typer.echo(f"{name}: {'answers' if is_up else 'does not answer'}")
    raise typer.Exit(0 if all(answers.values()) else 1)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(command: Annotated[list[str], typer.Argument(help="the command and its arguments")]) -> None:
    """Run a command with a stack of its own, and exit with the command's code."""
    import shutil
    import tempfile

    from fraudsim.process.disk import explain_disk_errors
    from fraudsim.settings import load_settings
    from runner.stack.stack import environment, start_stack
    from runner.supervise.foreground import Termination, raise_on_signals, run_foreground
    from runner.supervise.supervisor import Supervisor

    settings = load_settings()
    with explain_disk_errors(settings.runs_dir):
        settings.runs_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=settings.runs_dir, prefix="stack-run-"))
    try:
        with raise_on_signals(), Supervisor(folder / "logs") as supervisor:
            addresses = start_stack(folder, settings, supervisor)
            env = {**os.environ, **environment(addresses)}
            code = run_foreground(command, env, supervisor.guard)
    except KeyboardInterrupt:
        code = 130
    except Termination as termination:
        code = termination.exit_code
    finally:
        # If the stack did not start, the folder is kept for its logs.
        if not isinstance(sys.exception(), FraudsimError):
            shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    try:
        app()
    except FraudsimError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
