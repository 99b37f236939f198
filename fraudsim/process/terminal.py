"""The terminal: consoles that show data as it is."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH: Final = 100_000


def plain_console(stderr: bool = False) -> "Console":
    """A console for messages and tables.

    Data is never markup (`m[v2]` stays as it is), and piped output is not wrapped.
    """
    import sys

    from rich.console import Console

    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if is_terminal else _PIPE_WIDTH,
    )
