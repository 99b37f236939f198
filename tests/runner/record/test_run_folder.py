"""The folder of a new run: made last, after all options are checked."""

from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import load_settings
from runner.cli import _options
from runner.record.run_folder import make_run_folder

OPTIONS = {"seed": None, "out": None, "replay": None, "script": None, "reuse": None, "speed": None}


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Path:
    """A folder of runs with one earlier run, to which `latest` points."""
    runs = tmp_path / "runs"
    monkeypatch.setenv("FRAUDSIM_RUNS_DIR", str(runs))
    load_settings.cache_clear()
    for name in ("history", "model"):
        (runs / "first" / name).mkdir(parents=True)
    make_run_folder(runs, runs / "first")
    return runs


def test_the_latest_run_can_be_reused(runs):
    options, _ = _options(**{**OPTIONS, "reuse": runs / "latest"})
    assert (runs / "latest").resolve() == options.run_dir
    assert options.reuse == (runs / "first").resolve()


@pytest.mark.parametrize(
    "wrong",
    [
        {"reuse": Path("no-such-run")},
        {"reacting": True, "shards": 2},
        {"replay": Path("no-such-file.csv")},
        {"script": Path("no-such-script.yaml")},
        {"out": "a file"},
    ],
)
def test_a_refused_option_leaves_no_folder_and_latest_where_it_was(runs, tmp_path, wrong):
    if "out" in wrong:
        wrong = {"out": tmp_path / "file"}
        wrong["out"].write_text("")
    with pytest.raises(FraudsimError):
        _options(**{**OPTIONS, **wrong})
    assert {path.name for path in runs.iterdir()} == {"first", "latest"}
    assert (runs / "latest").resolve() == (runs / "first").resolve()
