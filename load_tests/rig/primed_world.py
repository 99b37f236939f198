"""A world with a history, a model trained on it, and its state in Redis: where a benchmark starts."""

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from fraudsim.log.events import Segment
from fraudsim.settings import Settings
from model.artefact.files import load_model
from model.artefact.model import Model
from model.training.train import train_model
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue.features import DAY
from stream_features.offline.history_tables import read_history_tables
from stream_features.store.prime import prime, state_of_history

FUTURE_MS: Final = 365 * DAY
"""Limit on event time ahead of the clock: a benchmark goes through event time faster than its clock."""
SMALL_WORLD: Final = WorldConfig(cards=600, seed=7, fraud_scale=6.0)
"""The world that a small model is trained on."""
SMALL_WORLD_DAYS: Final = 40
LABEL_GAP_DAYS: Final = 7
"""Label gap of the small world's training."""


@dataclass(frozen=True)
class PrimedWorld:
    """Model, clock segment and history as of the first transaction after the history."""

    model_dir: Path
    model: Model
    segment: Segment
    transactions: pa.Table
    """The history's."""


def prime_world(folder: Path, world: World, days: int, settings: Settings, horizon_ms: int) -> PrimedWorld:
    """Write `days` of `world` into `folder`, train there, and prime the Redis that `settings` name."""
    history, model_dir = folder / "history", folder / "model"
    end_ms = write_history(history, world, days).end_ms
    train_model(history, model_dir, settings)
    segment = Segment(
        log_id=uuid.uuid4().hex, number=0, event_epoch_ms=end_ms, wall_epoch_ms=int(time.time() * 1000),
        speed=1.0, past_ms=DAY, future_ms=FUTURE_MS, horizon_ms=horizon_ms,
    )  # fmt: skip
    transactions, labels = read_history_tables(history)
    prime(settings, segment, state_of_history(transactions, labels, end_ms, horizon_ms), "")
    return PrimedWorld(model_dir, load_model(model_dir), segment, transactions)
