"""Decisions of an archived run, each with the transaction it was made on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.archive.log_files import log_folder, read_log
from fraudsim.errors import FraudsimError
from fraudsim.log.events import Action, Transaction
from fraudsim.log.topics import TRANSACTIONS
from model.artefact.files import read_manifest
from model.artefact.manifest import Manifest
from model.artefact.thresholds import Thresholds
from model.registry.versions import load_manifests
from scorer.policy.policy import Variant
from stream_features.catalogue.features import HASH
from stream_features.kernels.state import Vector
from stream_features.offline.archived_log import first_decisions
from stream_features.vector import as_vector

_FIELDS = [name for name in Transaction.__struct_fields__ if name != "schema_version"]


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, as far as a policy had a part in it."""

    tx: Transaction
    features: Vector
    score: float
    variant: Variant
    action: Action
    row: dict[str, Any]
    """The whole decision, by column of the archive."""

    def thresholds(self, manifest: Manifest) -> Thresholds:
        """Those that were trained for what was asked of a model."""
        if self.variant == "fallback":
            return manifest.fallback.thresholds
        if (
            self.row["variant"] in ("distilled", "challenger_distilled")
            and manifest.variants is not msgspec.UNSET
        ):
            return manifest.variants.distilled.thresholds
        return manifest.thresholds

    def probability(self, manifest: Manifest) -> float:
        """As it was recorded; computed again for runs that lack it."""
        recorded: float | None = self.row["probability"]
        of = manifest if self.variant == "champion" else manifest.fallback
        return of.to_probability.probability(self.score) if recorded is None else recorded


@dataclass(frozen=True)
class Manifests:
    """Of the models of a run."""

    own: Manifest
    """Of the model that it began with."""
    others: Mapping[str, Manifest] = field(default_factory=dict)
    """Of its registry, by version."""

    def of(self, decided: Decided) -> Manifest:
        """Of the model that decided; the run's own where that one is not at hand."""
        return self.others.get(decided.row["model_version"], self.own)

    def has(self, decided: Decided) -> bool:
        """Whether the model that decided is at hand."""
        return self.of(decided).version == decided.row["model_version"]


def read_manifests(run_dir: Path) -> Manifests:
    """Raises FraudsimError where there is no model, or one is damaged."""
    kept = {each.version: each for each in load_manifests(run_dir / "models")}
    return Manifests(read_manifest(run_dir / "model"), kept)


def read_decided(run_dir: Path, tx_id: str | None = None) -> Iterator[Decided]:
    """The standing decisions of a run in the order they were made, or that on one transaction.

    Raises:
        FraudsimError: there is no archive, or its features are not this catalogue's.
    """
    if not log_folder(run_dir).is_dir():
        raise FraudsimError(f"--run {run_dir} has no log folder: name the folder of a run")
    decisions = first_decisions(run_dir)
    transactions = read_log(run_dir, TRANSACTIONS, ["partition", "offset", "error", *_FIELDS])
    if tx_id is not None:
        decisions, transactions = _only(decisions, tx_id), _only(transactions, tx_id)
    by_place = {
        (row.pop("partition"), row.pop("offset")): row
        for row in transactions.to_pylist()
        if row.pop("error") is None
    }
    for row in decisions.sort_by("stamp_decided").to_pylist():
        if row["feature_hash"] != HASH:
            raise FraudsimError(
                f"--run {run_dir}: its catalogue is {row['feature_hash']}, this program's {HASH}"
            )
        tx = by_place.get((row["source_partition"], row["source_offset"]))
        if tx is not None:
            yield Decided(
                Transaction(**tx),
                as_vector(row["features"]),
                row["score"],
                "fallback" if row["variant"] == "fallback" else "champion",
                row["action"],
                row,
            )


def _only(table: pa.Table, tx_id: str) -> pa.Table:
    return table.filter(pc.equal(table["tx_id"], tx_id))
