"""The steps of a retraining. Each writes its output whole, so a run that was killed goes on with the next.

window     payments and the labels known by then, as two tables and their fingerprint
features   their vectors
train      trees, thresholds and calibration, as an artefact
check      the artefact is opened as a scorer opens it, and must score as it did
gate       its cost against the champion's, paired, on the last payments, which neither has learned from
register   into the registry, with its lineage; a version is its content, so twice is once
shadow     a shadow beside the champion, or the champion where the plan says so
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow.parquet as pq

from fraudsim.arrays import Doubles, Floats
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from fraudsim.whole_files import whole_file, whole_folder
from lifecycle.retraining.gate import GateFigures, compare
from lifecycle.retraining.job import RetrainingJob, RetrainingResult, read_json, write_json
from lifecycle.retraining.window import KnownData, known_data
from model.artefact.costs import Costs, decision_costs
from model.artefact.files import load_model, read_manifest
from model.artefact.manifest import Manifest
from model.artefact.model import Model
from model.forest.fit import SHIPPED
from model.registry.aliases import Aliases, add_shadow, promote, remove
from model.registry.audit import Cause
from model.registry.lineage import Lineage, write_lineage
from model.registry.versions import add_version, change_aliases, folder_of
from model.training.dataset import build_dataset
from model.training.split import Split, split_history
from model.training.train import TrainingData, TrainingPlan, train_on
from scorer.models.arms import Arm
from simulator.line.scoring import scores_of_rows
from stream_features.catalogue.features import HASH
from stream_features.offline.bulk import bulk_features

WINDOW, FEATURES, MODEL = "window", "features.npy", "model"
CHECK, GATE, REGISTERED = "check.json", "gate.json", "registered.json"


class WindowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """`window/window.json`."""

    from_ms: int
    until_ms: int
    transactions: int
    labels: int
    fingerprint: str


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """`check.json` and `registered.json`."""

    version: str


@dataclass(frozen=True)
class RetrainingStep:
    """A step: its name, its output in the job's folder, and what makes it."""

    name: str
    output: str
    run: Callable[[RetrainingJob, Settings], None]


def _window(job: RetrainingJob, _: Settings) -> None:
    plan = job.plan
    data = known_data(Path(plan.run), plan.now_ms, plan.days)
    with whole_folder(job.folder / WINDOW) as folder:
        pq.write_table(data.transactions, folder / "transactions.parquet", compression="zstd")
        pq.write_table(data.labels, folder / "labels.parquet", compression="zstd")
        figures = WindowFigures(
            from_ms=data.start_ms, until_ms=data.now_ms, transactions=data.transactions.num_rows,
            labels=data.labels.num_rows, fingerprint=data.fingerprint,
        )  # fmt: skip
        write_json(folder / "window.json", figures)


def _features(job: RetrainingJob, _: Settings) -> None:
    data = _data_of(job)
    with whole_file(job.folder / FEATURES) as path, path.open("wb") as file:
        np.save(file, bulk_features(data.transactions, data.labels))


def _train(job: RetrainingJob, settings: Settings) -> None:
    data = _data_of(job)
    split = _split(data, settings)
    plan = TrainingPlan(features=lambda _, __: _vectors(job))
    with whole_folder(job.folder / MODEL) as folder:
        train_on(
            TrainingData(data.transactions, data.labels, split, _window_figures(job).fingerprint),
            folder / MODEL, settings, plan,
        )  # fmt: skip


def _check(job: RetrainingJob, _: Settings) -> None:
    manifest = load_model(_artefact(job)).manifest
    write_json(job.folder / CHECK, Registered(version=manifest.version))


def _gate(job: RetrainingJob, settings: Settings) -> None:
    data, plan, vectors = _data_of(job), job.plan, _vectors(job)
    dataset = build_dataset(data.transactions, data.labels, _split(data, settings))
    champion = load_model(folder_of(Path(plan.registry), plan.parent))
    costs = Costs()
    test = dataset.test
    stakes = dataset.known_stakes(test)
    stakes = stakes._replace(is_fraud=dataset.eventual_fraud[test])
    before, after = (
        decision_costs(probabilities(model, vectors[test]), stakes, costs)
        for model in (champion, load_model(_artefact(job)))
    )
    cards = np.unique(dataset.card[test], return_inverse=True)[1].ravel().astype(np.int64)
    frauds = int(stakes.is_fraud.sum())
    if not frauds:
        raise FraudsimError(
            f"gate: none of the last {len(cards):,} payments is a known fraud, so nothing can be compared; "
            "retrain later, or give more --days"
        )
    write_json(job.folder / GATE, compare(cards, before, after, frauds))


def _register(job: RetrainingJob, _: Settings) -> None:
    plan, gate = job.plan, read_json(job.folder / GATE, GateFigures)
    if not gate.passed:
        job.finish(
            RetrainingResult(
                status="rejected",
                reason=f"it costs {gate.difference:+,.0f} cents for 1,000 payments against the champion "
                f"({gate.low:+,.0f} to {gate.high:+,.0f})",
            )
        )
        return
    registry, figures = Path(plan.registry), _window_figures(job)
    manifest, _aliases = add_version(_artefact(job), registry)
    write_lineage(registry, _lineage(job, manifest, figures, gate))
    write_json(job.folder / REGISTERED, Registered(version=manifest.version))


def _shadow(job: RetrainingJob, _: Settings) -> None:
    plan, version = job.plan, read_json(job.folder / REGISTERED, Registered).version
    cause = Cause(actor=f"retraining {job.folder.name}", reason=plan.trigger)
    change = partial(_with_role, version=version, decides=plan.promote)
    aliases = change_aliases(Path(plan.registry), change, cause)
    role = aliases.role_of(version)
    job.finish(
        RetrainingResult(
            status="promoted" if role == "champion" else "shadow", version=version, reason=plan.trigger
        )
    )


def _with_role(aliases: Aliases, version: str, decides: bool) -> Aliases:
    """The version as champion or only shadow; as it is if it already decides."""
    if aliases.role_of(version) in ("champion", "challenger"):
        return aliases
    if decides:
        return promote(aliases, version)
    for shadow in [shadow for shadow in aliases.shadows if shadow != version]:
        aliases = remove(aliases, shadow)  # an earlier candidate makes room
    return add_shadow(aliases, version)


STEPS: Final = (
    RetrainingStep("window", WINDOW, _window),
    RetrainingStep("features", FEATURES, _features),
    RetrainingStep("train", MODEL, _train),
    RetrainingStep("check", CHECK, _check),
    RetrainingStep("gate", GATE, _gate),
    RetrainingStep("register", REGISTERED, _register),
    RetrainingStep("shadow", "result.json", _shadow),
)
NAMES: Final = tuple(step.name for step in STEPS)


def check_champion(registry: Path, version: str) -> None:
    """Raise FraudsimError if the champion is of another catalogue: what it costs could not be told."""
    catalogue = read_manifest(folder_of(registry, version)).catalogue_hash
    if catalogue != HASH:
        raise FraudsimError(
            f"registry {registry}: champion {version} is of catalogue {catalogue}, this program has {HASH}; "
            "train and promote a model of this catalogue by hand"
        )


def _data_of(job: RetrainingJob) -> KnownData:
    folder, figures = job.folder / WINDOW, _window_figures(job)
    transactions, labels = (pq.read_table(folder / f"{name}.parquet") for name in ("transactions", "labels"))
    return KnownData(transactions, labels, figures.until_ms)


def _split(data: KnownData, settings: Settings) -> Split:
    return split_history(data.start_ms, data.now_ms, settings.label_gap_days)


def _vectors(job: RetrainingJob) -> Floats:
    vectors: Floats = np.load(job.folder / FEATURES, allow_pickle=False)
    return vectors


def probabilities(model: Model, vectors: Floats) -> Doubles:
    """A model's calibrated probabilities of many vectors, shape (n,)."""
    calibration = Arm.of(model, "champion", challenging=False).calibration
    scores = scores_of_rows(model, vectors).tolist()
    return np.array([calibration.probability(score) for score in scores], np.float64)


def _artefact(job: RetrainingJob) -> Path:
    return job.folder / MODEL / MODEL


def _window_figures(job: RetrainingJob) -> WindowFigures:
    return read_json(job.folder / WINDOW / "window.json", WindowFigures)


def _lineage(job: RetrainingJob, manifest: Manifest, figures: WindowFigures, gate: GateFigures) -> Lineage:
    plan = job.plan
    return Lineage(
        version=manifest.version,
        parent=plan.parent,
        data_fingerprint=figures.fingerprint,
        from_ms=figures.from_ms,
        until_ms=figures.until_ms,
        transactions=figures.transactions,
        known_frauds=round(manifest.metrics.train_rows * manifest.metrics.train_fraud_rate),
        parameters={name: float(value) for name, value in vars(SHIPPED).items()},
        code=manifest.versions.fraudsim,
        trigger=plan.trigger,
        gate={"difference": gate.difference, "low": gate.low, "high": gate.high},
    )
