"""The setup that a scoring program gets in a benchmark, and the feature reader that all of them share."""

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
"""Environment variable with the path of a `RivalSetup` as JSON."""
SCORES: Final = "scores"
"""Topic to which the rivals of the stream scorer write."""


class RivalSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Where a program finds model, state and log, and where it listens."""

    port: int
    metrics_port: int
    redis_url: str
    model_dir: str
    xgboost_model: str
    """The same trees as a file in XGBoost's format."""
    segment: Segment
    kafka_bootstrap: str = ""
    """For the stream's rivals."""
    partitions: int = 4


def read_setup() -> RivalSetup:
    """Read the file that the environment variable names."""
    return msgspec.json.decode(Path(os.environ[VARIABLE]).read_bytes(), type=RivalSetup)


def settings_of(setup: RivalSetup) -> Settings:
    """Default settings with the addresses and paths of the setup."""
    return Settings(
        _env_file=None,
        redis_url=setup.redis_url,
        model_dir=Path(setup.model_dir),
        metrics_port=setup.metrics_port,
        http_port=setup.port,
    )


def open_reader(link: RedisClient, segment: Segment) -> FeatureReader:
    """A reader of features: one MGET of a transaction's keys, then the compiled kernels."""
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
