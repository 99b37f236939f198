"""All studies in one go: one that fails does not stop the others, and the end says so."""

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from studies import all_studies
from studies.all_studies import run_all_studies
from studies.cli import app
from studies.frame.conduct import StudyInterruptedError, conduct
from studies.framed import FRAMED
from tests.studies.frame.small_study import report_of, small_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    result = conduct(small_study(), tmp_path_factory.mktemp("small"), Settings(_env_file=None))
    return result, report_of(result)


@pytest.fixture
def small(monkeypatch, finished):
    """Every study is one of arithmetic that has ended; those named here raise what it holds."""
    errors = {}

    def run_study(name, out, seeds, *, printed):
        if name in errors:
            raise errors[name]
        return finished

    monkeypatch.setattr(all_studies, "definition_by_name", lambda name, size: name)
    monkeypatch.setattr(all_studies, "run_study", run_study)
    monkeypatch.setattr(all_studies, "with_kept", lambda out, results: results)
    return errors


def run(out, without=frozenset(), publish_to=None):
    console = Console(width=80, record=True, file=io.StringIO())
    good = run_all_studies(out, "quick", 2, publish_to, without, console)
    return good, console.export_text()


def test_all_are_run_and_the_end_says_what_each_came_to(small, tmp_path):
    good, text = run(tmp_path, publish_to=tmp_path / "docs")
    assert good
    assert f"{len(FRAMED)} done. Answers and pages:" in text
    assert all(f" {name} " in f" {text.replace(chr(10), ' ')} " for name in FRAMED)
    assert max(map(len, text.splitlines())) <= 80
    index = (tmp_path / "README.md").read_text()
    assert index.count("[Is other than base?]") == len(FRAMED)
    assert (tmp_path / "docs" / "skew" / "index.html").exists()


def test_one_that_fails_is_named_and_the_others_are_done(small, tmp_path):
    small["skew"] = FraudsimError("study: no fraud anywhere; take more cards")
    good, text = run(tmp_path, frozenset({"deadline"}))
    assert not good
    words = " ".join(text.split())
    assert f"{len(FRAMED) - 2} done, 1 failed, 1 left out." in words
    assert "skew failed: study: no fraud anywhere; take more cards" in words
    assert "deadline: starts lines" not in words
    assert "(windows/" in (tmp_path / "README.md").read_text()
    assert "(skew/" not in (tmp_path / "README.md").read_text()


def test_one_that_is_stopped_stops_all(small, tmp_path):
    small["skew"] = StudyInterruptedError("study skew: interrupted")
    with pytest.raises(FraudsimError, match="interrupted"):
        run(tmp_path)


def test_an_unknown_name_is_one_line_and_a_failure_is_an_exit_code(small, tmp_path):
    with pytest.raises(FraudsimError, match="--without skwe: is not a study; there are cadence, "):
        run(tmp_path, frozenset({"skwe"}))
    words = ["study", "all", "--out", str(tmp_path / "out"), "--seeds", "2"]
    assert CliRunner().invoke(app, words).exit_code == 0
    small["value"] = FraudsimError("no")
    assert CliRunner().invoke(app, words).exit_code == 1
