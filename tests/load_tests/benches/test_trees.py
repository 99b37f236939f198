"""The scorer's benchmark: the shape of its report, and no timing of contestants that score differently."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fraudsim.arrays import Floats
from fraudsim.errors import FraudsimError, InvariantError
from load_tests.benches.scorer import trees as bench_trees
from load_tests.benches.scorer.trees import ROWS, check_equal, contestants_of, rows_like
from load_tests.cli import app
from model.artefact.files import load_model
from model.artefact.model import Model
from model.forest import forest
from model.forest.trees import UnsupportedTreesError
from stream_features.vector import SIZE

NAMES = ["fraudsim", "inplace_predict", "dmatrix"]
"""The contestants that are always installed."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that is trained where none is given."""
    directory = tmp_path_factory.mktemp("bench") / "model"
    bench_trees.train(directory)
    return directory


@pytest.fixture
def model(directory: Path) -> Model:
    return load_model(directory)


def bench(*argv: str) -> str:
    outcome = CliRunner().invoke(app, ["bench", "scorer", *argv], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_the_report_has_machine_protocol_results_and_ratios(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_trees, "SPAN_S", 0.01)
    out = tmp_path / "trees.json"
    output = bench("--json", str(out), "--model", str(directory), "--turns", "2")
    missing = json.loads(out.read_text())["configuration"]["left_out"]
    assert [line.split()[0] for line in output.splitlines()[1:]] == missing
    report = json.loads(out.read_text())
    assert {"cpu", "cores", "memory_gib", "versions"} <= report["machine"].keys()
    assert {"xgboost", "numba"} <= report["machine"]["versions"].keys()
    assert "equal to the bit" in report["protocol"]
    assert report["configuration"]["model"] == load_model(directory).version
    installed = [name for name in bench_trees.OPTIONAL_RIVALS if name not in missing]
    assert [(result["name"], result["rows"]) for result in report["results"]] == [
        (name, rows) for rows in ROWS for name in (*NAMES, *installed)
    ]
    value = {}
    for result in report["results"]:
        assert result["unit"] == "µs/call"
        assert len(result["turns"]) == 2
        assert result["value"] == pytest.approx(sum(result["turns"]) / 2, abs=0.02)
        value[result["name"], result["rows"]] = result["value"]
    assert report["ratios"].keys() == {*NAMES[1:], *installed}
    for rival, ratios in report["ratios"].items():
        expected = {str(n): value[rival, n] / value["fraudsim", n] for n in ROWS}
        assert ratios == pytest.approx(expected, rel=0.05)
    reasons = report["reasons"]
    explain_us = {result["name"]: result["value"] for result in reasons["results"]}
    assert list(explain_us) == ["fraudsim", "pred_contribs", "approx_contribs"]
    expected = {
        name: explain_us[name] / explain_us["fraudsim"] for name in ("pred_contribs", "approx_contribs")
    }
    assert reasons["ratios"] == pytest.approx(expected, rel=0.05)
    assert f"explained in {explain_us['fraudsim']:g} µs" in output


def test_a_contribution_that_is_not_xgboosts_ends_it(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_trees, "SPAN_S", 0.001)
    rows = rows_like(model, 2)
    assert len(bench_trees.bench_reasons(model, rows, 1)["results"]) == 3
    right = model.contributions
    monkeypatch.setattr(model, "contributions", lambda row: right(row) + 1e-3)
    with pytest.raises(InvariantError, match="off that of pred_contribs"):
        bench_trees.bench_reasons(model, rows, 1)
    monkeypatch.setattr(model, "not_explained", "dart")
    with pytest.raises(FraudsimError, match="XGBoost itself explains it: dart"):
        bench_trees.bench_reasons(model, rows, 1)


def test_without_a_model_one_is_trained(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_trees, "SPAN_S", 0.001)
    bench("--json", str(tmp_path / "trees.json"), "--turns", "1")
    report = json.loads((tmp_path / "trees.json").read_text())
    assert report["configuration"]["model"] == load_model(directory).version


def test_the_rows_are_as_wide_as_the_catalogue_repeat_and_lack_values(model: Model) -> None:
    rows = rows_like(model, max(ROWS))
    assert (rows.shape, rows.dtype) == ((max(ROWS), SIZE), np.float32)
    assert np.array_equal(rows, rows_like(model, max(ROWS)), equal_nan=True)
    assert 0.1 < np.isnan(rows).mean() < 0.9
    assert len(np.unique(model.predict(rows))) > 50


@pytest.mark.parametrize("name", NAMES)
def test_a_score_that_differs_in_one_bit_ends_it(model: Model, name: str) -> None:
    contestants, rows = contestants_of(model), rows_like(model, max(ROWS))
    check_equal(contestants, rows)
    right = contestants[name]

    def wrong(matrix: Floats) -> Floats:
        scores = np.array(right(matrix))
        scores[-1] = np.nextafter(scores[-1], np.float32(2))
        return scores

    with pytest.raises(InvariantError, match="to the bit"):
        check_equal({**contestants, name: wrong}, rows)


def test_a_model_that_xgboost_itself_scores_is_refused(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise UnsupportedTreesError("dart")

    monkeypatch.setattr(forest, "pad_trees", refuse)
    with pytest.raises(FraudsimError, match="XGBoost itself scores it: dart"):
        bench("--json", str(tmp_path / "trees.json"), "--model", str(directory))


def test_a_report_that_cannot_be_written_is_named(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_trees, "SPAN_S", 0.001)
    with pytest.raises(FraudsimError, match=r"--json .*none/trees\.json: No such file"):
        bench("--json", str(tmp_path / "none" / "trees.json"), "--model", str(directory), "--turns", "1")
