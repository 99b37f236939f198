"""A command line that cannot be is told in one line, with what was given and where help is."""

import sys

import pytest

from fraudsim.cli import main


def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["fraudsim", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, error = capsys.readouterr()
    return int(ended.value.code or 0), out, error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("demo --seconds -1", "'--seconds': Input should be greater than or equal to 1 (given: -1)"),
        ("world generate --out x --cards=many", "'--cards': Input should be a valid integer"),
        ("world generate --out x --cards=many", "(given: many); see fraudsim world generate --help"),
        ("world generate --out x --cards 5 --cards 0", "(given: 0); see "),
        ("world generate", "Missing option '--out'; see "),
        ("world generate --out x --card 5", "No such option: --card"),
        ("wrold", "No such command 'wrold'"),
        ("features inspect card", "Missing argument 'key'; see "),
    ],
)
def test_it_is_one_line_with_what_was_given(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = told(monkeypatch, capsys, *words.split())
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("error: ")
    assert said in error
    assert error.endswith(" --help\n")


def test_a_value_of_any_length_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, error = told(monkeypatch, capsys, "demo", "--cards", "9x" * 1_000)
    assert code == 2
    assert error.count("9x") == 40


@pytest.mark.parametrize("words", ["", "world"])
def test_nothing_asked_for_is_answered_with_the_commands(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = told(monkeypatch, capsys, *words.split())
    assert (code, error) == (2, "")
    assert "Commands" in out


def test_help_and_version_are_no_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(monkeypatch, capsys, "demo", "--help")[0] == 0
    code, out, error = told(monkeypatch, capsys, "--version")
    assert (code, error) == (0, "")
    assert out.strip()
