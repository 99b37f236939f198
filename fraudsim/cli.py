"""The one console script. Each room that has commands brings a `cli.py` with a Typer app named `app`."""

import importlib
import importlib.util
import sys
from typing import Final

import typer

from fraudsim import __version__
from fraudsim.errors import FraudsimError

ROOMS: Final = (
    "fraudsim",
    "producers",
    "stream_features",
    "model",
    "scorer",
    "runner",
    "load_tests",
    "dashboards",
    "studies",
)


def build() -> typer.Typer:
    """The whole command line, discovered from the rooms."""
    app = typer.Typer(
        name="fraudsim",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Streaming fraud detection on your own machine: card transactions through Kafka, windowed "
        "velocity features by Faust in Redis, decisions by XGBoost in milliseconds. "
        "Start with `fraudsim demo`.",
    )

    @app.callback(invoke_without_command=True)
    def root(version: bool = typer.Option(False, "--version", help="print the version")) -> None:
        if version:
            typer.echo(__version__)
            raise typer.Exit

    for room in ROOMS:
        name = f"{room}.cli" if room != "fraudsim" else "fraudsim.own_cli"
        if importlib.util.find_spec(name) is not None:
            app.add_typer(importlib.import_module(name).app)
    return app


def main() -> None:
    """Entry point: an error meant for people is one line and exit code 2."""
    try:
        build()(standalone_mode=True)
    except FraudsimError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
