"""The one console script. Each room that has commands brings a `cli.py` with a Typer app named `app`."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NoReturn

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

UsageError: Final[type[Any]] = typer.BadParameter.__bases__[0]
"""Typer does not export it: an option or a value that a command does not take."""
SHOWN: Final = 80


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
        name = f"{room}.cli" if room != "fraudsim" else "fraudsim.commands"
        if importlib.util.find_spec(name) is not None:
            app.add_typer(importlib.import_module(name).app)
    return app


def main() -> None:
    """Entry point: an error meant for people is one line and exit code 2."""
    try:
        code = build()(standalone_mode=False, prog_name="fraudsim")
    except FraudsimError as error:
        _fail(str(error))
    except UsageError as error:
        if not error.format_message():  # nothing was asked for: Typer has shown the help
            raise SystemExit(2) from None
        _fail(usage_line(error, sys.argv[1:]))
    except typer.Abort:
        _fail("aborted")
    raise SystemExit(code if isinstance(code, int) else 0)


def usage_line(error: Any, words: Sequence[str]) -> str:
    """What is wrong with a command line of these words, in one line.

    Args:
        error: Typer's; its own report is a box of several lines, without the value.
    """
    options = getattr(getattr(error, "param", None), "opts", ())
    given = [value for name in options for value in _values(name, words)]
    told = " ".join(error.format_message().split()).rstrip(".")
    found = f" (given: {given[-1][:SHOWN]})" if given else ""
    return f"{told}{found}; see {error.ctx.command_path} --help"


def _values(option: str, words: Sequence[str]) -> list[str]:
    separate = [after for name, after in pairwise(words) if name == option]
    return separate + [word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}=")]


def _fail(why: str) -> NoReturn:
    print(f"error: {why}", file=sys.stderr)
    raise SystemExit(2) from None
