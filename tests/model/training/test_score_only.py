"""A file without cards: trained on its first day, scored after it by compiled code."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from fraudsim.arrays import Floats
from fraudsim.errors import FraudsimError
from model.cli import app
from model.training import score_only as scoring
from model.training.score_only import DAY_S, ScoreOnlyResult, features_of, score_only
from producers.datasets.ulb import COLUMNS, UlbRows

ROWS = 3000


def make_rows(fraud_from: float = 0.0) -> UlbRows:
    """Two days in which V14 tells fraud, though not always."""
    rng = np.random.default_rng(5)
    seconds = np.sort(rng.uniform(0, 2 * DAY_S, ROWS))
    fraud = (rng.random(ROWS) < 0.06) & (seconds >= fraud_from)
    components = rng.standard_normal((ROWS, 28)).astype(np.float32)
    components[:, 13] -= np.where(fraud, 3, 0).astype(np.float32)
    return UlbRows(seconds, components, rng.integers(100, 30_000, ROWS), fraud)


@pytest.fixture(scope="module")
def result() -> ScoreOnlyResult:
    return score_only(make_rows(), seed=7)


def test_the_first_day_is_trained_on_and_the_rest_is_scored(result: ScoreOnlyResult) -> None:
    first = make_rows().seconds < DAY_S
    assert (result.train_rows, result.test_rows) == (first.sum(), (~first).sum())
    assert result.train_frauds + result.test_frauds == make_rows().is_fraud.sum()
    assert 0.7 < result.auc < 1
    assert 0.5 < result.average_precision < 1
    assert result.cost_share is not None
    assert result.cost_share < 0.9
    assert result.recall >= result.recall_declined
    assert result.recall > 0.5 > result.acted_on


def test_the_compiled_predictor_scored_and_equals_xgboost_to_the_bit(result: ScoreOnlyResult) -> None:
    assert result.not_compiled is None
    assert result.different_scores == 0


def test_a_predictor_that_differs_is_given_up_and_said(
    monkeypatch: pytest.MonkeyPatch, result: ScoreOnlyResult
) -> None:
    scores = scoring.TreePredictor.scores

    def off(walk: scoring.TreePredictor, rows: Floats) -> Floats:
        wrong = scores(walk, rows).copy()
        wrong[0] = np.nextafter(wrong[0], np.float32(1))
        return wrong

    monkeypatch.setattr(scoring.TreePredictor, "scores", off)
    again = score_only(make_rows(), seed=7)
    assert again.different_scores == 1
    assert again.not_compiled == "the compiled walk differs from XGBoost on 1 rows"
    assert again.average_precision == result.average_precision


def test_the_second_day_has_no_part_in_training(result: ScoreOnlyResult) -> None:
    rows = make_rows()
    later = rows.seconds >= DAY_S
    turned = UlbRows(
        rows.seconds, rows.components, rows.amount_cents, np.where(later, ~rows.is_fraud, rows.is_fraud)
    )
    again = score_only(turned, seed=7)
    assert again.thresholds == result.thresholds
    assert again.auc == pytest.approx(1 - result.auc)


def test_features_know_the_hour_but_not_the_day() -> None:
    rows = make_rows()
    moved = UlbRows(rows.seconds + DAY_S, rows.components, rows.amount_cents, rows.is_fraud)
    assert features_of(rows).shape == (ROWS, 30)
    assert np.allclose(features_of(moved), features_of(rows), atol=0.01)


def test_a_part_without_fraud_is_named() -> None:
    with pytest.raises(FraudsimError, match="the first day before its end has no fraud among"):
        score_only(make_rows(fraud_from=DAY_S), seed=7)
    rows = make_rows()
    one_day = UlbRows(rows.seconds / 2, rows.components, rows.amount_cents, rows.is_fraud)
    with pytest.raises(FraudsimError, match="what follows the first day has no fraud among 0 rows"):
        score_only(one_day, seed=7)


def test_the_command_line_scores_a_file(tmp_path: Path) -> None:
    rows = make_rows()
    table = np.column_stack([rows.seconds.round(), rows.components])
    lines = [",".join(f'"{name}"' for name in COLUMNS)]
    for values, cents, fraud in zip(
        table.tolist(), rows.amount_cents.tolist(), rows.is_fraud.tolist(), strict=True
    ):
        lines.append(",".join([*map(repr, values), f"{cents / 100:.2f}", f'"{int(fraud)}"']))
    (tmp_path / "credit[v2].csv").write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(
        app, ["score-only", str(tmp_path / "credit[v2].csv"), "--json", str(tmp_path / "out.json")]
    )
    assert result.exit_code == 0, result.output
    assert "by the compiled walk" in result.output
    assert "credit[v2].csv, scored" in result.output
    written = msgspec.json.decode((tmp_path / "out.json").read_bytes(), type=ScoreOnlyResult)
    assert written.test_rows + written.train_rows == ROWS
