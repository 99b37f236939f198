"""Models for a regime: trained with features as that regime serves them."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Floats
from fraudsim.settings import Settings
from model.artefact.manifest import Manifest
from model.training.train import TrainingPlan, train_model
from simulator.features.columns import RowColumns
from simulator.features.label_book import LabelBook
from simulator.features.stretch_features import StretchFeatures
from simulator.line.traffic import labels_of
from simulator.regimes import REGIMES, Regime
from stream_features.catalogue.features import DAY


def features_under(regime: Regime, transactions: pa.Table, labels: pa.Table) -> Floats:
    """Every transaction's vector as the regime serves it, shape (n, SIZE); the table is in order of time."""
    served = regime if regime.acts == "at once" and regime.features == "all" else REGIMES["real-time"]
    rows = RowColumns.of(transactions)
    past = rows.where(np.empty(0, np.int64))
    span_ms = int(rows.ts[-1] - rows.ts[0]) if len(rows.ts) else 0
    # Labels are read at every time of the table, so none may be forgotten.
    book = LabelBook(served.longest_staleness_ms + span_ms + 120 * DAY, tumbling=served.windows == "tumbling")
    for label in labels_of(labels):
        book.add(label)
    return StretchFeatures(served, transactions, past, book).values


def train_under(regime: Regime, history: Path, out: Path, settings: Settings) -> Manifest:
    """Train a model on a history for a regime, and write it. Raises as `train_model` does."""
    plan = TrainingPlan(features=partial(features_under, regime))
    return train_model(history, out, settings, plan)
