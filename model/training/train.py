"""Training a model: from a history on disk to an artefact on disk."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from rich.console import Console

from fraudsim.arrays import Floats
from fraudsim.settings import Settings
from model.artefact.costs import Costs
from model.artefact.files import check_writable, current_versions, sha256_of, write_model
from model.artefact.manifest import Manifest, Variants, feature_hash
from model.training.dataset import TrainingDataset, build_dataset
from model.training.fallback import fallback_entry, fit_fallback
from model.training.fitted_model import FittedModel, fit_and_test
from model.training.split import Split, split_history
from model.training.variants import fit_variants
from producers.history.reader import read_history
from stream_features.catalogue.features import HASH, NAMES
from stream_features.offline.bulk import bulk_features


@dataclass(frozen=True)
class TrainingPlan:
    """What a model is trained for, beside the settings."""

    costs: Costs = field(default_factory=Costs)
    warm_up_days: float | None = None
    """Days at the start that are not trained on; see `default_warm_up_days` if None."""
    variants: bool = False
    """Also fit a cascade and a distilled model, which may serve in place of the full one."""
    features: Callable[[pa.Table, pa.Table], Floats] = bulk_features
    """Vectors of transactions, given these and every label; as a line serves them, if not fresh."""
    evaluate_by: Mapping[str, str] | None = None
    """Group of some transactions by tx_id, such as the typology of frauds: recall is then also reported by
    group. It does not affect training."""


def train_model(
    history_dir: Path,
    out_dir: Path,
    settings: Settings,
    plan: TrainingPlan | None = None,
    console: Console | None = None,
) -> Manifest:
    """Features, split, trees, thresholds, test, artefact. The same history and settings give the same bytes.

    Args:
        plan: the default plan if None.
        console: where progress is shown; None for no output.

    Raises:
        FraudsimError: the history cannot be read, is too short or has too little fraud to train on, or
            `out_dir` cannot be written.
    """
    plan = plan or TrainingPlan()
    history = read_history(history_dir)
    check_writable(out_dir)
    manifest = history.manifest
    split = split_history(manifest.start_ms, manifest.end_ms, settings.label_gap_days, plan.warm_up_days)
    with _progress(console, "reading the history"):
        data = TrainingData(history.transactions(), history.labels(), split, manifest.fingerprint)
    return train_on(data, out_dir, settings, plan, console)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """What a model is trained on."""

    transactions: pa.Table
    """In order of (ts, tx_id)."""
    labels: pa.Table
    split: Split
    fingerprint: str


def train_on(
    data: TrainingData, out_dir: Path, settings: Settings, plan: TrainingPlan, console: Console | None = None
) -> Manifest:
    """As `train_model`, from tables."""
    costs, transactions, labels = plan.costs, data.transactions, data.labels
    dataset = build_dataset(transactions, labels, data.split)
    with _progress(console, f"computing {len(NAMES)} features of {transactions.num_rows:,} transactions"):
        features = plan.features(transactions, labels)
    with _progress(console, f"training on {int(dataset.train.sum()):,} of them"):
        groups = groups_of(transactions, dataset, plan.evaluate_by)
        full = fit_and_test(dataset, features, costs, settings.seed, groups)
    with _progress(console, "training the fallback, which has no state to look at"):
        fallback = fit_fallback(dataset, features, costs, settings.seed, groups)
    fitted_variants: Variants | msgspec.UnsetType = msgspec.UNSET
    distilled_ubj: bytes | None = None
    if plan.variants:
        with _progress(console, "training a cascade and a distilled model"):
            fitted_variants, distilled_ubj = fit_variants(
                dataset, features, full, costs, settings.seed, groups
            )
    unsealed = _manifest(data.split, settings, costs, full, fallback, data.fingerprint, fitted_variants)
    return write_model(out_dir, full.ubj, fallback.ubj, unsealed, distilled_ubj)


def groups_of(
    transactions: pa.Table, dataset: TrainingDataset, evaluate_by: Mapping[str, str] | None
) -> list[str | None] | None:
    """The group of each test row; None without `evaluate_by`."""
    if evaluate_by is None:
        return None
    test_ids = transactions["tx_id"].filter(pa.array(dataset.test)).to_pylist()
    return [evaluate_by.get(tx_id) for tx_id in test_ids]


def _manifest(
    split: Split,
    settings: Settings,
    costs: Costs,
    full: FittedModel,
    fallback: FittedModel,
    fingerprint: str,
    variants: Variants | msgspec.UnsetType,
) -> Manifest:
    return Manifest(
        version="",
        features=list(NAMES),
        catalogue_hash=HASH,
        feature_hash=feature_hash(list(NAMES)),
        data_fingerprint=fingerprint,
        train_from_ms=split.train_from_ms,
        train_until_ms=split.train_until_ms,
        test_from_ms=split.test_from_ms,
        label_gap_days=settings.label_gap_days,
        metrics=full.metrics,
        thresholds=full.thresholds,
        costs=vars(costs),
        sample=full.sample,
        fallback=fallback_entry(fallback),
        versions=current_versions(),
        model_sha256=sha256_of(full.ubj),
        calibration=full.calibration,
        variants=variants,
    )


@contextmanager
def _progress(console: Console | None, step: str) -> Iterator[Any]:
    """Show a step while it runs, then the time it took."""
    if console is None:
        yield
        return
    started = time.perf_counter()
    with console.status(step):
        yield
    console.print(f"{step}: {time.perf_counter() - started:.1f} s", style="dim")
