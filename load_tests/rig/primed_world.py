"""A made world: a model trained of its history, whose state is in Redis. A benchmark goes on from there."""

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
from producers.world.world import World
from stream_features.catalogue.features import DAY
from stream_features.offline.history_tables import read_history_tables
from stream_features.store.prime import prime, state_of_history

AHEAD_MS: Final = 365 * DAY
"""A benchmark goes through event time faster than its clock."""


@dataclass(frozen=True)
class PrimedWorld:
    """What is there when the first transaction after the history comes."""

    model_dir: Path
    model: Model
    segment: Segment
    transactions: pa.Table
    """Of the history."""


def prime_world(folder: Path, world: World, days: int, settings: Settings, horizon_ms: int) -> PrimedWorld:
    """Write so many days of `world` into a folder, train there, and prime the Redis that `settings` name."""
    history, model_dir = folder / "history", folder / "model"
    end_ms = write_history(history, world, days).end_ms
    train_model(history, model_dir, settings)
    segment = Segment(
        log_id=uuid.uuid4().hex, number=0, event_epoch_ms=end_ms, wall_epoch_ms=int(time.time() * 1000),
        speed=1.0, past_ms=DAY, future_ms=AHEAD_MS, horizon_ms=horizon_ms,
    )  # fmt: skip
    transactions, labels = read_history_tables(history)
    prime(settings, segment, state_of_history(transactions, labels, end_ms, horizon_ms), "")
    return PrimedWorld(model_dir, load_model(model_dir), segment, transactions)
