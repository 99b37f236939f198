"""Study: the Fraud Detection Handbook's protocol on a file of its data, with our features and trees.

Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection",
2022: chapter 3 for the protocol (`get_train_test_set`: seven days of training, seven of delay, seven of test,
cards known compromised leave day by day) and the first figures, chapter 5 for the tuned ones.
"""

from datetime import date
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from fraudsim.arrays import Flags, Floats, Ints
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.artefact.files import current_versions
from model.artefact.manifest import Versions
from model.forest.fit import SHIPPED, XGBOOST_DEFAULTS, TreeParameters, fit_trees, scores_of
from model.training.label_knowledge import LabelKnowledge
from model.training.ranking import area_under_roc, average_precision, card_precision_at
from model.tuning.validation_folds import FoldDays, FoldRows, ValidationFold, rows_of_fold
from producers.datasets import handbook
from producers.datasets.dataset import Dataset, load_dataset
from producers.datasets.registry import layout_of
from producers.history.tables import labels_table
from producers.labels.delays import CHARGEBACK, LabelColumns
from stream_features.catalogue.features import DAY
from stream_features.offline.bulk import bulk_features
from stream_features.offline.columns import codes
from studies.report import Cell, Grid, Page, bar, make_folder, write_report

DAYS: Final = FoldDays(train=7, gap=7, test=7)
INVESTIGATED: Final = 100
"""Cards that are investigated each day."""
PUBLISHED_TEST_FROM: Final = date(2018, 8, 8)


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """How well scores rank the fraud of the test."""

    average_precision: float
    auc: float
    card_precision_at_100: float


class HandbookResult(msgspec.Struct, frozen=True, kw_only=True):
    """`result.json`; the first three are of the product's own training."""

    average_precision: float
    auc: float
    card_precision_at_100: float
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    xgboost_defaults: Ranking
    """XGBoost's own parameters on the same features and rows."""
    published: dict[str, Ranking] | None
    """The Handbook's figures of XGBoost; null unless the test is its own week."""
    train_from: str
    test_from: str
    """The first days of training and of test, ISO 8601."""
    parameters: TreeParameters
    seed: int
    versions: Versions


PUBLISHED: Final = {
    "default": Ranking(average_precision=0.639, auc=0.862, card_precision_at_100=0.273),
    "tuned": Ranking(average_precision=0.687, auc=0.869, card_precision_at_100=0.303),
}


def study(file: Path, out_dir: Path, settings: Settings, test_from: date | None = None) -> HandbookResult:
    """Run the protocol and write `result.json` and `result.md`.

    Args:
        test_from: the first day of the test; by default the test is the file's last seven days.

    Raises:
        FraudsimError: the file is bad, of another layout or too short for that test, either part has no
            fraud, or `out_dir` cannot be written.
    """
    layout = layout_of(file)
    if layout is not handbook.LAYOUT:
        raise FraudsimError(
            f"study handbook {file}: is of layout {layout.name}; give a file of the Handbook's layout"
        )
    make_folder(out_dir)
    dataset = load_dataset(layout, file)
    fold = fold_of(dataset, file, test_from)
    transactions = dataset.tables.transactions.slice(0, int(np.searchsorted(dataset.ts, fold.test_until_ms)))
    is_fraud = dataset.tables.truth["is_fraud"].to_numpy(zero_copy_only=False)[: len(transactions)]
    labels = delayed_labels(transactions, is_fraud)
    ts, (card, _) = transactions["ts"].to_numpy(), codes(transactions, "card_id")
    try:
        rows = rows_of_fold(fold, ts, card, LabelKnowledge.of(transactions, labels))
    except FraudsimError as error:
        raise FraudsimError(f"study handbook {file}: {error}") from None
    features = np.asarray(bulk_features(transactions, labels), np.float32)
    own, defaults = (
        ranking_of(rows, fold, ts, card, _test_scores(features, rows, settings.seed, parameters))
        for parameters in (SHIPPED, XGBOOST_DEFAULTS)
    )
    is_published_week = _day(fold.test_from_ms) == PUBLISHED_TEST_FROM
    result = HandbookResult(
        **msgspec.structs.asdict(own),
        train_rows=int(rows.train.sum()),
        train_frauds=int(rows.train_fraud[rows.train].sum()),
        test_rows=int(rows.test.sum()),
        test_frauds=int(rows.test_fraud[rows.test].sum()),
        xgboost_defaults=defaults,
        published=PUBLISHED if is_published_week else None,
        train_from=_day(fold.train_from_ms).isoformat(),
        test_from=_day(fold.test_from_ms).isoformat(),
        parameters=SHIPPED,
        seed=settings.seed,
        versions=current_versions(),
    )
    write_report(out_dir, "result", result, page_of(result))
    return result


def fold_of(dataset: Dataset, file: Path, test_from: date | None) -> ValidationFold:
    """The periods of the protocol in a file.

    Raises:
        FraudsimError: the file lacks days of them; the message names the days that it has.
    """
    first_ms, end_ms = int(dataset.ts[0]) // DAY * DAY, dataset.end_ms
    if test_from is None:
        test_from_ms = end_ms - DAYS.test * DAY
    else:
        test_from_ms = (test_from - date(1970, 1, 1)).days * DAY
    fold = ValidationFold.of_test(test_from_ms, DAYS)
    if fold.train_from_ms < first_ms or fold.test_until_ms > end_ms:
        raise FraudsimError(
            f"study handbook {file}: has the days {_day(first_ms)} to {_day(end_ms - DAY)}; a test from "
            f"{_day(test_from_ms)} takes {_day(fold.train_from_ms)} to {_day(fold.test_until_ms - DAY)}: "
            "give a longer file or another --test-from"
        )
    return fold


def delayed_labels(transactions: pa.Table, is_fraud: Flags) -> pa.Table:
    """The labels of the Handbook: every fraud is known, and that seven days after its transaction."""
    row = np.flatnonzero(is_fraud)
    known_at = transactions["ts"].to_numpy()[row] + DAYS.gap * DAY
    source = np.full(len(row), CHARGEBACK, np.int8)
    return labels_table(transactions, LabelColumns(row, np.ones(len(row), np.bool_), source, known_at))


def ranking_of(rows: FoldRows, fold: ValidationFold, ts: Ints, card: Ints, scores: Floats) -> Ranking:
    """The figures of scores of the test rows, in their order."""
    fraud = rows.test_fraud[rows.test]
    precision, _ = card_precision_at(
        INVESTIGATED, ts[rows.test], card[rows.test], fraud, scores, fold.test_from_ms
    )
    return Ranking(
        average_precision=average_precision(fraud, scores),
        auc=area_under_roc(fraud, scores),
        card_precision_at_100=precision,
    )


def _test_scores(features: Floats, rows: FoldRows, seed: int, parameters: TreeParameters) -> Floats:
    ubj = fit_trees(features[rows.train], rows.train_fraud[rows.train], seed, parameters)
    return scores_of(ubj, features[rows.test])


def _day(time_ms: int) -> date:
    return date.fromordinal(date(1970, 1, 1).toordinal() + time_ms // DAY)


def page_of(result: HandbookResult) -> Page:
    """The result as a page: a row for each training, with the published ones where the week is theirs."""
    own = Ranking(
        average_precision=result.average_precision,
        auc=result.auc,
        card_precision_at_100=result.card_precision_at_100,
    )
    rankings = {"fraudsim": own, "XGBoost's defaults, same features": result.xgboost_defaults}
    rankings |= {f"published, {name}": ranking for name, ranking in (result.published or {}).items()}
    rows = [
        [Cell(name), *(Cell(f"{value:.3f}", bar(value)) for value in msgspec.structs.astuple(ranking))]
        for name, ranking in rankings.items()
    ]
    return Page(
        "The Handbook's protocol",
        f"Trained on seven days from {result.train_from} ({result.train_rows:,} transactions, "
        f"{result.train_frauds:,} frauds), tested on seven days from {result.test_from} "
        f"({result.test_rows:,} transactions, {result.test_frauds:,} frauds). A label is known after seven "
        "days; a card leaves the test when a fraud of it is known.",
        Grid(["training", "average precision", "AUC", "card precision@100"], rows),
    )
