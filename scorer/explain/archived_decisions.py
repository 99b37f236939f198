"""Decisions of an archived run, each with its transaction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import log_folder, read_log
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action, Block, Transaction
from fraudsim.log.topics import TRANSACTIONS
from model.artefact.files import read_manifest
from model.artefact.manifest import Manifest
from model.artefact.thresholds import Thresholds
from model.registry.versions import load_manifests
from producers.labels.divided_desk import ArmShare
from scorer.policy.policy import Variant
from stream_features.catalogue.features import HASH
from stream_features.kernels.state import Vector
from stream_features.offline.archived_log import first_decisions
from stream_features.vector import as_vector

_FIELDS = [name for name in Transaction.__struct_fields__ if name != "schema_version"]


@dataclass(frozen=True, slots=True)
class ArchivedDecision:
    """One decision with what a policy needs to decide again."""

    tx: Transaction
    features: Vector
    score: float
    variant: Variant
    action: Action
    row: dict[str, Any]
    """The whole decision, by column of the archive."""

    @property
    def block(self) -> Block | None:
        """The block of the card that stopped it; runs of earlier versions have none."""
        text = self.row.get("block")
        return None if text is None else msgspec.json.decode(text, type=Block)

    @property
    def arm(self) -> ArmShare | None:
        """The arm of its card; None where one model decided for all."""
        text = self.row.get("assignment")
        return None if text is None else msgspec.json.decode(text, type=ArmShare)

    def thresholds(self, manifest: Manifest) -> Thresholds:
        """The trained thresholds of the part of the model that scored."""
        if self.variant == "fallback":
            return manifest.fallback.thresholds
        if (
            self.row["variant"] in ("distilled", "challenger_distilled")
            and manifest.variants is not msgspec.UNSET
        ):
            return manifest.variants.distilled.thresholds
        return manifest.thresholds

    def probability(self, manifest: Manifest) -> float:
        """The recorded probability; calibrated again from the score for runs that lack it."""
        recorded: float | None = self.row["probability"]
        scored_by = manifest if self.variant == "champion" else manifest.fallback
        return scored_by.to_probability.probability(self.score) if recorded is None else recorded


@dataclass(frozen=True)
class Manifests:
    """Manifests of the models of a run."""

    initial: Manifest
    """Of the model that the run began with."""
    by_version: Mapping[str, Manifest] = field(default_factory=dict)
    """Of the run's registry."""

    def of(self, decision: ArchivedDecision) -> Manifest:
        """Of the model that decided; of the run's initial model where that one is missing."""
        return self.by_version.get(decision.row["model_version"], self.initial)

    def has(self, decision: ArchivedDecision) -> bool:
        """Whether the manifest of the model that decided is present."""
        return self.of(decision).version == decision.row["model_version"]


def read_manifests(run_dir: Path) -> Manifests:
    """Raises FraudsimError where there is no model, or one is damaged."""
    by_version = {manifest.version: manifest for manifest in load_manifests(run_dir / "models")}
    return Manifests(read_manifest(run_dir / "model"), by_version)


def read_decisions(run_dir: Path, tx_id: str | None = None) -> Iterator[ArchivedDecision]:
    """The valid decisions of a run in the order they were made, or only those on `tx_id`.

    Raises:
        FraudsimError: there is no archive, or its features are not this catalogue's.
    """
    if not log_folder(run_dir).is_dir():
        raise FraudsimError(f"--run {run_dir} has no log folder: name the folder of a run")
    decisions = first_decisions(run_dir)
    transactions = read_log(run_dir, TRANSACTIONS, ["partition", "offset", "error", *_FIELDS])
    if tx_id is not None:
        decisions, transactions = _only(decisions, tx_id), _only(transactions, tx_id)
    by_location = {
        (row.pop("partition"), row.pop("offset")): row
        for row in transactions.to_pylist()
        if row.pop("error") is None
    }
    for row in decisions.sort_by("stamp_decided").to_pylist():
        if row["feature_hash"] != HASH:
            raise FraudsimError(
                f"--run {run_dir}: its catalogue is {row['feature_hash']}, this program's {HASH}"
            )
        if row["features"] is None:
            raise FraudsimError(
                f"--run {run_dir} was written without vectors: simulate it again with --vectors"
            )
        tx = by_location.get((row["source_partition"], row["source_offset"]))
        if tx is not None:
            yield ArchivedDecision(
                Transaction(**tx),
                as_vector(row["features"]),
                row["score"],
                "fallback" if row["variant"] == "fallback" else "champion",
                row["action"],
                row,
            )


def _only(table: pa.Table, tx_id: str) -> pa.Table:
    return table.filter(pc.equal(table["tx_id"], tx_id))
