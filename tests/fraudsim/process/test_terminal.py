"""Consoles show data as it is, do not wrap a pipe's lines, and are as wide as a table needs."""

import io
import sys

import pytest
from rich.table import Table

from fraudsim.process.terminal import plain_console

ODD = "m[v2] :smile: [/dim] [red]x"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stderr", [False, True])
def test_data_is_shown_as_it_is_and_a_pipe_is_not_wrapped(
    stderr: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr" if stderr else "stdout", pipe)
    console = plain_console(stderr=stderr)
    console.print(ODD + " word" * 60)
    table = Table(ODD, title=ODD)
    table.add_row(ODD * 9)
    console.print(table)
    assert pipe.getvalue().splitlines()[0] == ODD + " word" * 60
    assert pipe.getvalue().count(ODD) == 12


def test_a_narrow_terminal_keeps_the_width_that_a_table_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    assert plain_console().width == 20
    assert plain_console(least_width=100).width == 100
    monkeypatch.setenv("COLUMNS", "130")
    assert plain_console(least_width=100).width == 130


def test_a_process_without_a_stdout_has_a_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    plain_console().print(ODD)
