"""Transactions without a card, scored by the decision path without its state: trees, compiled code, cut-offs.

The model is trained on the first day and scores everything later. As for a model of a history, cut-offs are
chosen by expected cost on the end of the training period, with scores of trees that have not seen it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from fraudsim.arrays import Flags, Floats
from fraudsim.errors import FraudsimError
from model.artefact.costs import Costs, Stakes
from model.artefact.thresholds import NEVER, Thresholds, choose_thresholds, total_cost
from model.forest.fit import fit_trees, scores_of
from model.forest.forest import booster_of
from model.forest.trees import TreePredictor, UnsupportedTreesError, pad_trees
from model.training.ranking import area_under_roc, average_precision
from model.training.split import SLICE_SHARE
from producers.datasets.ulb import UlbRows

DAY_S: Final = 86_400
TIMED_ROWS: Final = 1_000
"""Rows scored one at a time to measure the time of a score."""

ScoreRows = Callable[[Floats], Floats]


class ScoreOnlyResult(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a run. Shares are of the number of transactions; None where the divisor is 0."""

    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    average_precision: float
    auc: float
    thresholds: Thresholds
    acted_on: float
    """Share of the scored transactions that is not approved."""
    recall: float
    """Share of frauds that is not approved."""
    recall_declined: float
    """Share of frauds that is declined."""
    cost_share: float | None
    """Cost of acting by the cut-offs, over that of approving everything."""
    not_compiled: str | None
    """Why XGBoost itself scored; None if compiled code did."""
    different_scores: int
    """Rows whose score differs from XGBoost's in any bit."""
    us_per_score: float
    """Microseconds of scoring one row at a time, median."""
    xgboost_us_per_score: float


def features_of(rows: UlbRows) -> Floats:
    """Seconds of the day, V1 to V28, amount in cents; shape (n, 30)."""
    return np.column_stack([rows.seconds % DAY_S, rows.components, rows.amount_cents]).astype(np.float32)


def score_only(rows: UlbRows, seed: int, costs: Costs | None = None) -> ScoreOnlyResult:
    """Train on the first day, score the rest, and compare the scores with XGBoost's own.

    Raises:
        FraudsimError: the first day, its end, or the rest has no fraud or no honest transaction.
    """
    costs = costs or Costs()
    train = rows.seconds < DAY_S
    held_out = train & (rows.seconds >= (1 - SLICE_SHARE) * DAY_S)
    test = ~train
    _check_parts(rows, train, held_out)
    # Its authors' other work is on payments at web shops; the file has no channel.
    stakes = Stakes(rows.amount_cents, rows.is_fraud, np.ones(len(train), np.bool_))
    features = features_of(rows)
    early_ubj = fit_trees(features[train & ~held_out], rows.is_fraud[train & ~held_out], seed)
    held_out_scores = scores_of(early_ubj, features[held_out])
    thresholds = choose_thresholds(held_out_scores, stakes.take(held_out), costs)
    booster = booster_of(fit_trees(features[train], rows.is_fraud[train], seed))
    test_features = features[test]
    expected = _by_xgboost(booster)(test_features)
    score_rows, not_compiled = _compiled(booster)
    scores = score_rows(test_features)
    different = int((scores.view(np.uint32) != expected.view(np.uint32)).sum())
    if different:
        scores, not_compiled = expected, f"the compiled walk differs from XGBoost on {different:,} rows"
    fraud, tested = rows.is_fraud[test], stakes.take(test)
    approve_all = total_cost(scores, tested, costs, Thresholds(NEVER, NEVER, NEVER))
    acted_on, declined = scores >= thresholds.step_up, scores >= thresholds.decline
    timed_rows = test_features[:TIMED_ROWS]
    return ScoreOnlyResult(
        train_rows=int(train.sum()),
        train_frauds=int(rows.is_fraud[train].sum()),
        test_rows=len(fraud),
        test_frauds=int(fraud.sum()),
        average_precision=average_precision(fraud, scores),
        auc=area_under_roc(fraud, scores),
        thresholds=thresholds,
        acted_on=float(acted_on.mean()),
        recall=float(acted_on[fraud].mean()),
        recall_declined=float(declined[fraud].mean()),
        cost_share=total_cost(scores, tested, costs, thresholds) / approve_all if approve_all else None,
        not_compiled=not_compiled,
        different_scores=different,
        us_per_score=_microseconds(score_rows, timed_rows),
        xgboost_us_per_score=_microseconds(_by_xgboost(booster), timed_rows),
    )


def write_json(path: Path, result: ScoreOnlyResult) -> None:
    """Write the figures.

    Raises:
        FraudsimError: the file cannot be written.
    """
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    except OSError as error:
        raise FraudsimError(f"score-only {path}: {error.strerror}") from None


def _check_parts(rows: UlbRows, train: Flags, held_out: Flags) -> None:
    """Raise FraudsimError if a part of the rows has no fraud or no honest transaction."""
    parts = {
        "the first day before its end": train & ~held_out,
        "the end of the first day, on which cut-offs are chosen,": held_out,
        "what follows the first day": ~train,
    }
    for name, part in parts.items():
        for kind, of_kind in (("fraud", rows.is_fraud), ("honest transaction", ~rows.is_fraud)):
            if not (part & of_kind).any():
                raise FraudsimError(
                    f"score-only: {name} has no {kind} among {int(part.sum()):,} rows (by Time and Class); "
                    "give the complete file"
                )


def _by_xgboost(booster: Any) -> ScoreRows:
    return lambda matrix: np.asarray(booster.inplace_predict(matrix), dtype=np.float32)


def _compiled(booster: Any) -> tuple[ScoreRows, str | None]:
    """The compiled predictor; for trees that it does not support, XGBoost and the reason."""
    try:
        return TreePredictor(pad_trees(booster)).scores, None
    except UnsupportedTreesError as error:
        return _by_xgboost(booster), str(error)


def _microseconds(score_rows: ScoreRows, rows: Floats) -> float:
    """Median time of calls with one row."""
    score_rows(rows[:1])
    spans_ns = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        started = time.perf_counter_ns()
        score_rows(rows[i : i + 1])
        spans_ns[i] = time.perf_counter_ns() - started
    return float(np.median(spans_ns)) / 1000
