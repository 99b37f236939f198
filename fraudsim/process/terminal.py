"""The terminal: consoles that show data as it is."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH: Final = 100_000


def plain_console(stderr: bool = False, least_width: int = 0) -> "Console":
    """A console for messages and tables.

    Data is never markup (`m[v2]` stays as it is), and piped output is not wrapped.

    Args:
        stderr: whether it prints to stderr.
        least_width: columns that a table needs; a narrower terminal breaks its lines.
    """
    import sys

    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    is_terminal = stream is not None and stream.isatty()
    console = Console(
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if is_terminal else _PIPE_WIDTH,
    )
    console.width = max(console.width, least_width)
    return console
