"""The console script `fraudsim`. Each room's commands are a Typer app named `app` in its `cli.py`."""

import importlib
import importlib.util
import io
import os
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
    "simulator",
    "lifecycle",
    "load_tests",
    "dashboards",
    "studies",
)

UsageError: Final[type[Any]] = typer.BadParameter.__bases__[0]
"""An option or value that a command does not take; Typer does not export the class."""
KAFKA_ADVICE: Final = "does Kafka run at FRAUDSIM_KAFKA_BOOTSTRAP?"
REDIS_ADVICE: Final = "does Redis run at FRAUDSIM_REDIS_URL?"
SHOWN_CHARACTERS: Final = 80
"""A usage error shows so much of a wrong value."""
LINE_START: Final = 600
LINE_END: Final = 200
"""A longer line of an error loses its middle: the value of a cell may be a whole file."""


def build() -> typer.Typer:
    """The whole command line, made of the rooms' apps."""
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
        module = f"{room}.cli" if room != "fraudsim" else "fraudsim.commands"
        if importlib.util.find_spec(module) is not None:
            app.add_typer(importlib.import_module(module).app)
    return app


def main() -> None:
    """Entry point: an error meant for people is printed as one line, with exit code 2."""
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or path that the terminal cannot show must not end a command that has done its work.
        sys.stdout.reconfigure(errors="backslashreplace")
    empty = empty_option(sys.argv[1:])
    if empty is not None:
        _fail(f"option {empty} is empty (a variable that is not set?)")
    try:
        code = build()(standalone_mode=False, prog_name="fraudsim")
    except FraudsimError as error:
        _fail(str(error))
    except UsageError as error:
        if not error.format_message():  # no command was given: Typer has shown the help
            raise SystemExit(2) from None
        _fail(usage_error_line(error, sys.argv[1:]))
    except typer.Abort:
        _fail("aborted")
    except Exception as error:
        line = environment_error_line(error)
        if line is None or os.environ.get("FRAUDSIM_LOG_LEVEL") == "DEBUG":
            raise
        _fail(line)
    raise SystemExit(code if isinstance(code, int) else 0)


def _open_standard_streams() -> None:
    """Open what a shell closed (`>&-`): the next file would take its number, and get what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def empty_option(words: Sequence[str]) -> str | None:
    """The option whose value is empty; as a path it would be the working folder.

    Args:
        words: the command line, without the program. What `stack run` runs is not looked at.
    """
    if list(words[:2]) == ["stack", "run"]:
        return None
    named = [word.removesuffix("=") for word in words if word.startswith("--") and word.endswith("=")]
    named += [name for name, value in pairwise(words) if name.startswith("-") and value == ""]
    return named[0] if named else None


def environment_error_line(error: Exception) -> str | None:
    """One line for an error of the machine: a file, a disk, a server that is away; None for any other.

    A command should catch these where it knows what to name and what comes next; this is for those that it
    did not expect. Other exceptions are bugs, and keep their traceback.
    """
    if isinstance(error, UnicodeDecodeError):
        return f"a file or setting is not UTF-8: {_one_line(error)}"
    if isinstance(error, UnicodeEncodeError):
        return f"the terminal's encoding cannot show the output: {_one_line(error)}; set PYTHONUTF8=1"
    if isinstance(error, OSError):
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        where = " → ".join(names) + ": " if names else ""
        return f"{where}{error.strerror or _one_line(error) or type(error).__name__}"
    advice = _server_advice(error)
    return f"{_one_line(error)}; {advice}" if advice else None


def _server_advice(error: Exception) -> str | None:
    """What to check if the error is one of a server that is away or not ready; None for any other."""
    for module in ("kafka.errors", "aiokafka.errors"):
        kafka_error = getattr(sys.modules.get(module), "KafkaError", None)
        # Clients raise the plain class where no broker answers, and mark the others that pass by themselves.
        if kafka_error and isinstance(error, kafka_error):
            return KAFKA_ADVICE if type(error) is kafka_error or getattr(error, "retriable", False) else None
    redis_errors = sys.modules.get("redis.exceptions")
    if redis_errors and isinstance(error, (redis_errors.ConnectionError, redis_errors.TimeoutError)):
        return REDIS_ADVICE
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def usage_error_line(error: Any, arguments: Sequence[str]) -> str:
    """A usage error in one line, with the wrong value and the command that shows the help.

    Args:
        error: a UsageError; Typer's own report is a box of several lines, without the value.
        arguments: the command line, without the program.
    """
    options = getattr(getattr(error, "param", None), "opts", ())
    values = [value for name in options for value in _option_values(name, arguments)]
    message = " ".join(error.format_message().split()).rstrip(".")
    shown_value = f" (given: {values[-1][:SHOWN_CHARACTERS]})" if values else ""
    command = "fraudsim" if error.ctx is None else error.ctx.command_path  # none where a value is missing
    return f"{message}{shown_value}; see {command} --help"


def _option_values(option: str, arguments: Sequence[str]) -> list[str]:
    prefix = f"{option}="
    separate = [value for name, value in pairwise(arguments) if name == option]
    return separate + [word.removeprefix(prefix) for word in arguments if word.startswith(prefix)]


def printable(message: str) -> str:
    """A message that quotes data or paths, for a terminal: no control characters, lines of bounded length.

    >>> printable("column \\x1b[31mamount: " + 900 * "x" + " is long")[:30]
    'column \\\\x1b[31mamount: xxxxxxx'
    """
    lines = message.expandtabs(1).split("\n")
    lines = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines]
    return "\n".join(
        f"{line[:LINE_START]} … {line[-LINE_END:]}" if len(line) > LINE_START + LINE_END else line
        for line in lines
    )


def _fail(message: str) -> NoReturn:
    print(f"error: {printable(message)}", file=sys.stderr)
    raise SystemExit(2) from None
