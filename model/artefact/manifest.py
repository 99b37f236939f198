"""The manifest of a model artefact: what the model is, from what, how good, and how to check it."""

import hashlib
import re
from typing import Final

import msgspec

from fraudsim.errors import FraudsimError
from model.artefact.calibration import Calibration
from model.artefact.thresholds import Costs, Thresholds
from stream_features.catalogue.features import FEATURES, HASH, NAMES

FORMAT_VERSION: Final = 2
REQUEST_NAMES: Final = tuple(feature.name for feature in FEATURES if feature.entity == "request")
"""The features that a transaction has of itself, without any state."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Rows and the scores they must get."""

    rows: list[list[float | None]]
    """float32 features in order; null where a feature is unknown."""
    scores: list[float]
    """float32 values, exact in JSON."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """On the test period, judged by all labels there will ever be; nan is null."""

    average_precision: float | None
    auc: float | None
    card_precision_100: float | None
    card_precision_100_ceiling: float | None
    """What a perfect ranking would get."""
    brier: float
    """Mean squared error of the scores as probabilities."""
    mean_score: float
    """Over the test set; compare with `test_fraud_rate`."""
    alert_budget: float
    """Share of the test transactions that are alerts in the recalls below."""
    recall: float | None
    recall_by_source: dict[str, float]
    """By who first reported the fraud."""
    recall_by_group: dict[str, float]
    """By the groups that the caller brought, such as typologies."""
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


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    python: str
    xgboost: str
    numpy: str
    numba: str
    fraudsim: str


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """What decides where the state cannot be read: `fallback.ubj`, trained on the same periods and labels."""

    features: list[str]
    """What it looks at; the rest of its rows is null."""
    thresholds: Thresholds
    metrics: Metrics
    sample: Sample
    model_sha256: str
    calibration: Calibration | msgspec.UnsetType = msgspec.UNSET
    """As the manifest's own."""

    @property
    def to_probability(self) -> Calibration:
        return Calibration() if self.calibration is msgspec.UNSET else self.calibration


class CascadeNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """A first stage before the full model, whose thresholds hold for both; see `first_stage.FirstStage`."""

    weight: list[float]
    missing: list[float]
    bias: float
    limit: float
    """The first stage's score below which it approves by itself."""
    cheap_share: float
    """Share of the test transactions that it decided."""
    metrics: Metrics
    sample: Sample


class Distilled(msgspec.Struct, frozen=True, kw_only=True):
    """Few shallow trees that imitate the full model: `distilled.ubj`."""

    trees: int
    depth: int
    thresholds: Thresholds
    metrics: Metrics
    sample: Sample
    model_sha256: str


class Variants(msgspec.Struct, frozen=True, kw_only=True):
    """Cheaper models that may serve in the full one's place."""

    cascade: CascadeNumbers
    distilled: Distilled


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`manifest.json` beside `model.ubj`. Nothing in it depends on when or where it was made."""

    format_version: int = FORMAT_VERSION
    version: str
    """16 hex digits of all that decides: the trees, the features' meaning, the thresholds."""
    features: list[str]
    catalogue_hash: str
    feature_hash: str
    data_fingerprint: str
    """Of the history; 64 hex digits."""
    train_from_ms: int
    train_until_ms: int
    test_from_ms: int
    """Also the training time: labels known before it count."""
    label_gap_days: float
    metrics: Metrics
    thresholds: Thresholds
    costs: Costs
    sample: Sample
    fallback: Fallback
    versions: Versions
    model_sha256: str
    calibration: Calibration | msgspec.UnsetType = msgspec.UNSET
    """From scores to probabilities; models that were made before there was one lack it."""
    variants: Variants | msgspec.UnsetType = msgspec.UNSET
    """Absent unless they were asked for."""
    manifest_sha256: str = ""
    """Of this document with an empty `manifest_sha256`: finds edits that no other check would."""

    @property
    def to_probability(self) -> Calibration:
        return Calibration() if self.calibration is msgspec.UNSET else self.calibration


def feature_hash(names: list[str]) -> str:
    """16 hex digits of the features' names in order: what a stored vector means."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def version_of(manifest: Manifest) -> str:
    """The version that a manifest's content implies."""
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


def sealed(manifest: Manifest) -> Manifest:
    """With its version and its own hash filled in."""
    versioned = msgspec.structs.replace(manifest, version=version_of(manifest), manifest_sha256="")
    return msgspec.structs.replace(versioned, manifest_sha256=_sha256(versioned))


def to_json(manifest: Manifest) -> bytes:
    """Indented, but each sample row on one line."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode()

    def one_line(match: re.Match[str]) -> str:
        return re.sub(r"\s+", " ", match[0])

    return re.sub(r"\[[^\[\]{}]*\]", one_line, text).encode() + b"\n"


def from_json(raw: bytes, where: str) -> Manifest:
    """Read a manifest and check all that can be checked without the model.

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
    for field, value in expected.items():
        found = getattr(manifest, field)
        if found != value:
            raise FraudsimError(
                f"model {where}: {field}={_short(found, value)}; train a model with this version of fraudsim"
            )
    if manifest.fallback.features != list(REQUEST_NAMES):
        raise FraudsimError(
            f"model {where}: fallback.features={_short(manifest.fallback.features, list(REQUEST_NAMES))}; "
            "train a model with this version of fraudsim"
        )
    if manifest.version != version_of(manifest):
        raise FraudsimError(
            f"model {where}: version={manifest.version!r} but its content gives {version_of(manifest)!r}; "
            "model_sha256 or thresholds were changed after training"
        )
    return manifest


def check_seal(manifest: Manifest, where: str) -> None:
    """The last check, after those that name what is wrong.

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


def _short(found: object, expected: object) -> str:
    if not isinstance(found, list) or not isinstance(expected, list):
        return f"{found!r}, this program has {expected!r}"
    if len(found) != len(expected):
        return f"{len(found)} names, this program has {len(expected)}"
    at = next(i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b)
    return f"{found[at]!r} in place {at}, where this program has {expected[at]!r}"
