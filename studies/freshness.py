"""Study: what stale features cost. The same model is trained and tested with features at several lags.

A lag is how long ago an event must have happened to be in a window, as when features are computed in batches.
The model and the features of the transaction itself stay the same, and training sees the same lag as the
test: so the difference measures the worth of freshness, not the cost of a mismatch.
"""

from collections.abc import Callable, Sequence
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
from model.forest.fit import fit_trees, scores_of
from model.training.dataset import TrainingDataset, build_dataset
from model.training.ranking import ALERT_BUDGET, alerts_at, area_under_roc, average_precision, recall_by_group
from model.training.split import split_history
from producers.history.reader import read_history
from stream_features.catalogue.features import DAY, HOUR, MINUTE
from stream_features.offline.bulk import bulk_features
from studies.report import Cell, Grid, Page, bar, make_folder, spaced, write_report

LAGS: Final = {"fresh": 0, "5 min": 5 * MINUTE, "1 h": HOUR, "1 d": DAY}
RESAMPLES: Final = 200


class LagResult(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics of one lag, on the test set that all lags share."""

    name: str
    lag_ms: int
    average_precision: float
    loss: float
    """Average precision lost against fresh features."""
    loss_low: float
    loss_high: float
    """90 % interval of the loss: paired bootstrap over cards."""
    auc: float
    recall: float
    """Of all eventual frauds, at the alert budget."""
    recall_by_typology: dict[str, float]
    """Of all true frauds, at the alert budget."""


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """`freshness.json`."""

    data_fingerprint: str
    seed: int
    label_gap_days: float
    alert_budget: float
    test_rows: int
    test_frauds: int
    frauds_by_typology: dict[str, int]
    """True frauds of the test set."""
    lags: list[LagResult]
    versions: Versions


def study(
    history_dir: Path, out_dir: Path, settings: Settings, on_lag: Callable[[str], None] = lambda _: None
) -> Freshness:
    """Run the study and write `freshness.json` and `freshness.md`. `on_lag` is called with each step's name.

    Raises:
        FraudsimError: the history is too short or has no fraud in its test period, or `out_dir` cannot be
            written.
    """
    history = read_history(history_dir)
    make_folder(out_dir)
    manifest = history.manifest
    split = split_history(manifest.start_ms, manifest.end_ms, settings.label_gap_days)
    transactions, labels = history.transactions(), history.labels()
    dataset = build_dataset(transactions, labels, split)
    fraud = dataset.eventual_fraud[dataset.test]
    if not fraud.any():
        raise FraudsimError(f"history {history_dir}: no fraud in the test period; take one with more cards")
    typologies = typology_of_rows(transactions, history.truth(), dataset)

    scores: dict[str, Floats] = {}
    for name, lag_ms in LAGS.items():
        on_lag(name)
        features = bulk_features(transactions, labels, lag_ms)
        ubj = fit_trees(features[dataset.train], dataset.known_fraud[dataset.train], settings.seed)
        scores[name] = scores_of(ubj, features[dataset.test])
    on_lag("intervals")
    losses = loss_intervals(fraud, list(scores.values()), dataset.card[dataset.test], settings.seed)
    result = Freshness(
        data_fingerprint=manifest.fingerprint,
        seed=settings.seed,
        label_gap_days=settings.label_gap_days,
        alert_budget=ALERT_BUDGET,
        test_rows=len(fraud),
        test_frauds=int(fraud.sum()),
        frauds_by_typology={t: typologies.count(t) for t in sorted({t for t in typologies if t})},
        lags=[
            _lag_result(name, fraud, scores[name], scores["fresh"], interval, typologies)
            for name, interval in zip(LAGS, losses, strict=True)
        ],
        versions=current_versions(),
    )
    write_report(out_dir, "freshness", result, page_of(result))
    return result


def typology_of_rows(transactions: pa.Table, truth: pa.Table, dataset: TrainingDataset) -> list[str | None]:
    """The typology of each test row, None if it is honest."""
    frauds = truth.filter(truth["is_fraud"])
    typology = frauds["typology"].cast(pa.string()).fill_null("unnamed").to_pylist()
    by_id = dict(zip(frauds["tx_id"].to_pylist(), typology, strict=True))
    test_ids = transactions["tx_id"].filter(pa.array(dataset.test)).to_pylist()
    return [by_id.get(tx_id) for tx_id in test_ids]


def loss_intervals(
    fraud: Flags,
    scores: Sequence[Floats],
    card: Ints,
    seed: int,
    resamples: int = RESAMPLES,
) -> list[tuple[float, float]]:
    """90 % intervals of the average precision that each scoring loses against the first.

    Paired Poisson bootstrap over cards, since the frauds of one card come and are caught together.
    """
    from sklearn.metrics import average_precision_score

    generator = np.random.default_rng(seed)
    cards, code = np.unique(card, return_inverse=True)
    losses = []
    for _ in range(resamples):
        weight = generator.poisson(1.0, len(cards))[code]
        rows = np.flatnonzero(weight)
        if fraud[rows].any():
            aps = [average_precision_score(fraud[rows], s[rows], sample_weight=weight[rows]) for s in scores]
            losses.append([aps[0] - ap for ap in aps])
    low, high = np.quantile(np.array(losses), [0.05, 0.95], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _lag_result(
    name: str,
    fraud: Flags,
    scores: Floats,
    fresh: Floats,
    interval: tuple[float, float],
    typologies: list[str | None],
) -> LagResult:
    alerts, ap = alerts_at(scores), average_precision(fraud, scores)
    return LagResult(
        name=name,
        lag_ms=LAGS[name],
        average_precision=ap,
        loss=average_precision(fraud, fresh) - ap,
        loss_low=interval[0],
        loss_high=interval[1],
        auc=area_under_roc(fraud, scores),
        recall=float(alerts[fraud].mean()),
        recall_by_typology=recall_by_group(alerts, typologies),
    )


def page_of(result: Freshness) -> Page:
    """The study as a page: one table, with bars of average precision and of each typology's recall."""
    names = list(result.frauds_by_typology)
    counts = ", ".join(f"{spaced(name)} {count}" for name, count in result.frauds_by_typology.items())
    highest = max(lag.average_precision for lag in result.lags)
    rows = []
    for lag in result.lags:
        lost = f"{lag.loss:.3f} ({lag.loss_low:.3f} to {lag.loss_high:.3f})" if lag.lag_ms else ""
        recalls = [lag.recall_by_typology[name] for name in names]
        rows.append(
            [
                Cell(lag.name),
                Cell(f"{lag.average_precision:.3f}", bar(lag.average_precision / highest)),
                Cell(lost),
                *(Cell(f"{recall:.2f}", bar(recall)) for recall in recalls),
            ]
        )
    return Page(
        "What stale features cost",
        f"{result.test_rows:,} test transactions, {result.test_frauds} frauds that came to light. "
        f"By typology: recall of all true frauds ({counts}) "
        f"when {100 * result.alert_budget:g} % of transactions may be alerts.",
        Grid(["features", "average precision", "lost (90 %)", *map(spaced, names)], rows),
    )
