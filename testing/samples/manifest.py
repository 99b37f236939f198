"""A model's manifest with placeholder figures, for models that tests make."""

from typing import Final

from model.artefact.costs import Costs
from model.artefact.manifest import Fallback, Manifest, Metrics, Sample, Versions
from model.artefact.thresholds import Thresholds

METRICS: Final = Metrics(
    average_precision=None, auc=None, card_precision_100=None, card_precision_100_ceiling=None, brier=0.0,
    mean_score=0.0, alert_budget=0.0, recall=None, recall_by_source={}, recall_by_group={}, cost_share=None,
    train_rows=0, test_rows=0, train_fraud_rate=0.0, test_fraud_rate=0.0, unknown_fraud_share=0.0,
    compromised_cards=0,
)  # fmt: skip
MANIFEST: Final = Manifest(
    version="v", features=[], catalogue_hash="", feature_hash="", data_fingerprint="", train_from_ms=0,
    train_until_ms=0, test_from_ms=0, label_gap_days=0, metrics=METRICS, thresholds=Thresholds(0.1, 0.2, 0.3),
    costs=vars(Costs()), sample=Sample(rows=[], scores=[]),
    fallback=Fallback(
        features=[], thresholds=Thresholds(0.1, 0.2, 0.3), metrics=METRICS, sample=Sample(rows=[], scores=[]),
        model_sha256="",
    ),
    versions=Versions(python="", xgboost="", numpy="", numba="", fraudsim=""), model_sha256="",
)  # fmt: skip
