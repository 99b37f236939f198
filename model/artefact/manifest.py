"""The manifest of a model artefact: what the model is, its origin, its test figures, and checks of it."""

import hashlib
import re
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from model.artefact.calibration import Calibration
from model.artefact.thresholds import Thresholds
from stream_features.catalogue.features import FEATURES, HASH, NAMES

FORMAT_VERSION: Final = 2
REQUEST_NAMES: Final = tuple(feature.name for feature in FEATURES if feature.entity == "request")
"""The features that a transaction has by itself, without any state."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and the scores that the model must give them."""

    rows: list[list[float | None]]
    """float32 features in order; null where a feature is unknown."""
    scores: list[float]
    """float32 values, exact in JSON."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Figures on the test period, by all labels there will ever be; nan is null."""

    average_precision: float | None
    auc: float | None
    card_precision_100: float | None
    card_precision_100_ceiling: float | None
    """The value of a perfect ranking."""
    brier: float
    """Mean squared error of the scores as probabilities."""
    mean_score: float
    """Over the test set; compare with `test_fraud_rate`."""
    alert_budget: float
    """Share of the test transactions that are alerts in the recalls below."""
    recall: float | None
    recall_by_source: dict[str, float]
    """By the source that first reported the fraud."""
    recall_by_group: dict[str, float]
    """By the groups that the caller gave, such as typologies."""
    cost_share: float | None
    """Cost by the thresholds over the cost of approving everything, on the test set."""
    train_rows: int
    test_rows: int
    train_fraud_rate: float
    """As known at the training time."""
    test_fraud_rate: float
    """As known in the end."""
    unknown_fraud_share: float
    """Share of the train period's eventual fraud that was not known at the training time."""
    compromised_cards: int
    """Cards left out of the test set."""
    train_known_share: float | msgspec.UnsetType = msgspec.UNSET
    """Share of the train period's fraud that was known at the training time, as estimated from the labels
    known by then; absent in older models."""

    @property
    def mature_train_fraud_rate(self) -> float | None:
        """`train_fraud_rate` corrected for labels that were still to come."""
        share = self.train_known_share
        return None if share is msgspec.UNSET or not share > 0 else self.train_fraud_rate / share


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of the programs that trained the model."""

    python: str
    xgboost: str
    numpy: str
    numba: str
    fraudsim: str


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """The model used where the state cannot be read: `fallback.ubj`, of the same periods and labels."""

    features: list[str]
    """The features that it uses; all others are null in its rows."""
    thresholds: Thresholds
    metrics: Metrics
    sample: Sample
    model_sha256: str
    calibration: Calibration | msgspec.UnsetType = msgspec.UNSET
    """As in the manifest."""

    @property
    def to_probability(self) -> Calibration:
        return Calibration() if self.calibration is msgspec.UNSET else self.calibration


class CascadeNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """A first stage before the full model, whose thresholds apply to both; see `first_stage.FirstStage`."""

    weight: list[float]
    missing: list[float]
    bias: float
    limit: float
    """The first stage's score below which it approves without the full model."""
    cheap_share: float
    """Share of the test transactions that the first stage decided."""
    metrics: Metrics
    sample: Sample


class Distilled(msgspec.Struct, frozen=True, kw_only=True):
    """A few shallow trees that imitate the full model: `distilled.ubj`."""

    trees: int
    depth: int
    thresholds: Thresholds
    metrics: Metrics
    sample: Sample
    model_sha256: str


class Variants(msgspec.Struct, frozen=True, kw_only=True):
    """Cheaper models that may serve in place of the full one."""

    cascade: CascadeNumbers
    distilled: Distilled


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`manifest.json` beside `model.ubj`. It does not depend on when or where it was made."""

    format_version: int = FORMAT_VERSION
    version: str
    """Hash, 16 hex digits, of all that affects decisions: trees, features, thresholds, calibration."""
    features: list[str]
    catalogue_hash: str
    feature_hash: str
    data_fingerprint: str
    """Fingerprint of the history; 64 hex digits."""
    train_from_ms: int
    train_until_ms: int
    test_from_ms: int
    """Also the training time: labels known before it count."""
    label_gap_days: float
    metrics: Metrics
    thresholds: Thresholds
    costs: dict[str, float]
    """By which the thresholds were chosen: fields of `Costs`, fewer in earlier models."""
    sample: Sample
    fallback: Fallback
    versions: Versions
    model_sha256: str
    calibration: Calibration | msgspec.UnsetType = msgspec.UNSET
    """From scores to probabilities; absent in models older than calibration."""
    variants: Variants | msgspec.UnsetType = msgspec.UNSET
    """Absent unless requested at training."""
    manifest_sha256: str = ""
    """Of this document with an empty `manifest_sha256`: detects edits that no other check finds."""

    @property
    def to_probability(self) -> Calibration:
        return Calibration() if self.calibration is msgspec.UNSET else self.calibration


def feature_hash(names: list[str]) -> str:
    """Hash, 16 hex digits, of the features' names in order; it identifies the meaning of a stored vector."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def version_of(manifest: Manifest) -> str:
    """The version computed from a manifest's content."""
    fallback = manifest.fallback
    deciding = [
        *(manifest.model_sha256, manifest.catalogue_hash, manifest.features, manifest.thresholds),
        *(fallback.model_sha256, fallback.features, fallback.thresholds),
        *(c for c in (manifest.calibration, fallback.calibration) if c is not msgspec.UNSET),
    ]
    if manifest.variants is not msgspec.UNSET:
        cascade, distilled = manifest.variants.cascade, manifest.variants.distilled
        deciding += [cascade.weight, cascade.missing, cascade.bias, cascade.limit]
        deciding += [distilled.model_sha256, distilled.thresholds]
    return hashlib.sha256(msgspec.json.encode(deciding)).hexdigest()[:16]


def seal(manifest: Manifest) -> Manifest:
    """The manifest with its version and its own hash filled in."""
    versioned = msgspec.structs.replace(manifest, version=version_of(manifest), manifest_sha256="")
    return msgspec.structs.replace(versioned, manifest_sha256=_sha256(versioned))


def to_json(manifest: Manifest) -> bytes:
    """Indented JSON with each sample row on one line."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode()

    def one_line(match: re.Match[str]) -> str:
        return re.sub(r"\s+", " ", match[0])

    return re.sub(r"\[[^\[\]{}]*\]", one_line, text).encode() + b"\n"


def from_json(raw: bytes, where: str) -> Manifest:
    """Decode a manifest and check all that can be checked without the trees.

    Args:
        where: the file, for messages.

    Raises:
        FraudsimError: it is not JSON of this shape, or a field contradicts this program's catalogue or
            the rest of the manifest; one line that names the file and the field.
    """
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FraudsimError(f"model {where}: {error}") from None
    except FraudsimError as error:
        raise FraudsimError(f"model {where}: {error}") from None
    expected = {
        "format_version": FORMAT_VERSION,
        "features": list(NAMES),
        "catalogue_hash": HASH,
        "feature_hash": feature_hash(list(NAMES)),
    }
    for field, expected_value in expected.items():
        value = getattr(manifest, field)
        if value != expected_value:
            raise FraudsimError(
                f"model {where}: {field}={_difference(value, expected_value)}; "
                "train a model with this version of fraudsim"
            )
    if manifest.fallback.features != list(REQUEST_NAMES):
        raise FraudsimError(
            f"model {where}: fallback.features="
            f"{_difference(manifest.fallback.features, list(REQUEST_NAMES))}; "
            "train a model with this version of fraudsim"
        )
    if manifest.version != version_of(manifest):
        raise FraudsimError(
            f"model {where}: version={manifest.version!r} but its content gives {version_of(manifest)!r}; "
            "model_sha256 or thresholds were changed after training"
        )
    return manifest


def check_seal(manifest: Manifest, where: str) -> None:
    """Check the manifest's own hash. Call it last: the other checks name the field that is wrong.

    Raises:
        FraudsimError: the manifest was changed after it was written.
    """
    unsealed = msgspec.structs.replace(manifest, manifest_sha256="")
    if manifest.manifest_sha256 != _sha256(unsealed):
        raise FraudsimError(
            f"model {where}: manifest_sha256={manifest.manifest_sha256[:12]!r}… but the content gives "
            f"{_sha256(unsealed)[:12]!r}…; it was changed after it was written"
        )


def _sha256(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(manifest)).hexdigest()


def _difference(value: object, expected: object) -> str:
    """The value of a field and the expected one; of lists, the first entries that differ."""
    if not isinstance(value, list) or not isinstance(expected, list):
        return f"{value!r}, this program has {expected!r}"
    if len(value) != len(expected):
        return f"{len(value)} names, this program has {len(expected)}"
    index = next(i for i, (a, b) in enumerate(zip(value, expected, strict=True)) if a != b)
    return f"{value[index]!r} at index {index}, where this program has {expected[index]!r}"
