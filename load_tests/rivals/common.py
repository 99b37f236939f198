"""What whoever scores in a benchmark is given, and the feature read that all of them share."""

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from fraudsim.log.events import Segment
from fraudsim.settings import Settings
from model.artefact.model import Model
from model.forest.forest import booster_of
from stream_features.kernels.state import warm_up_kernel
from stream_features.online.reader import FeatureReader
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.store.connection import RedisClient
from stream_features.store.state_store import StateStore

VARIABLE: Final = "FRAUDSIM_BENCH_GIVEN"
"""Environment variable with the path of a `Given` as JSON."""
SCORES: Final = "scores"
"""Topic that the rivals of the stream scorer write to."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server finds its model and the state, and where it listens."""

    port: int
    metrics_port: int
    redis_url: str
    model_dir: str
    xgboost_model: str
    """The same trees as a file of XGBoost's own."""
    segment: Segment
    kafka_bootstrap: str = ""
    """Of the stream's rivals."""
    partitions: int = 4


def given() -> Given:
    """From the environment."""
    return msgspec.json.decode(Path(os.environ[VARIABLE]).read_bytes(), type=Given)


def settings_of(given: Given) -> Settings:
    """Defaults but for where things are."""
    return Settings(
        _env_file=None,
        redis_url=given.redis_url,
        model_dir=Path(given.model_dir),
        metrics_port=given.metrics_port,
        http_port=given.port,
    )


def open_reader(link: RedisClient, segment: Segment) -> FeatureReader:
    """Reads a transaction's features: one MGET of its keys, then the compiled kernels."""
    warm_up_kernel()
    settings = Settings(_env_file=None)
    return FeatureReader(
        StateStore(link),
        UnfoldedLog(settings.partitions, settings.tail_max_records),
        segment,
        partitions=settings.partitions,
        slots=settings.slots,
        pending_wait_ms=settings.pending_wait_ms,
    )


def open_booster(model: Model) -> Any:
    """A model as an XGBoost booster of one thread."""
    return booster_of(model.ubj)
