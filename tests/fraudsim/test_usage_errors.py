"""A wrong command line is reported in one line, with the wrong value and where help is."""

import sys

import pytest

from fraudsim.cli import empty_option, main, printable


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["fraudsim", *words])
    with pytest.raises(SystemExit) as exited:
        main()
    out, error = capsys.readouterr()
    return int(exited.value.code or 0), out, error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("demo --seconds -1", "'--seconds': Input should be greater than or equal to 1 (given: -1)"),
        ("world generate --out x --cards=many", "'--cards': Input should be a valid integer"),
        ("world generate --out x --cards=many", "(given: many); see fraudsim world generate --help"),
        ("world generate --out", "Option '--out' requires an argument; see fraudsim --help"),
        ("world generate --out x --cards 5 --cards 0", "(given: 0); see "),
        ("world generate", "Missing option '--out'; see "),
        ("world generate --out x --card 5", "No such option: --card"),
        ("wrold", "No such command 'wrold'"),
        ("features inspect card", "Missing argument 'key'; see "),
    ],
)
def test_it_is_one_line_with_what_was_given(
    words: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run(monkeypatch, capsys, *words.split())
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("error: ")
    assert message in error
    assert error.endswith(" --help\n")


def test_a_value_of_any_length_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = run(monkeypatch, capsys, "demo", "--cards", "9x" * 1_000)
    assert code == 2
    assert error.count("9x") == 40


@pytest.mark.parametrize("words", ["", "world"])
def test_without_a_command_the_commands_are_listed(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run(monkeypatch, capsys, *words.split())
    assert (code, error) == (2, "")
    assert "Commands" in out


def test_help_and_version_are_no_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, capsys, "demo", "--help")[0] == 0
    code, out, error = run(monkeypatch, capsys, "--version")
    assert (code, error) == (0, "")
    assert out.strip()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["world", "generate", "--out", ""], "--out"),
        (["world", "generate", "--out="], "--out"),
        (["world", "generate", "--out", "x", "--cards", ""], "--cards"),
        (["demo", "--reuse", ""], "--reuse"),
    ],
)
def test_an_empty_option_is_not_the_working_folder(
    words: list[str], option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run(monkeypatch, capsys, *words)
    assert (code, out, error) == (2, "", f"error: option {option} is empty (a variable that is not set?)\n")


def test_what_stack_run_runs_may_have_empty_words() -> None:
    assert empty_option(["stack", "run", "grep", "-e", ""]) is None
    assert empty_option(["model", "list", "--at", "x=", "--", "a"]) is None


def test_what_a_message_quotes_cannot_flood_or_steer_the_terminal() -> None:
    flood = printable("file: line 7: merchant='" + "x" * 3_000_000 + "' is not an id")
    assert len(flood) < 1_000
    assert flood.startswith("file: line 7: merchant='xx")
    assert flood.endswith("xx' is not an id")
    steering = "header \x1b]0;title\x07\x1b[31m\x9b\u202e\r…"
    assert printable(steering) == r"header \x1b]0;title\x07\x1b[31m\x9b\u202e\r…"
    assert printable("worker ended\nlast line é 日本") == "worker ended\nlast line é 日本"
