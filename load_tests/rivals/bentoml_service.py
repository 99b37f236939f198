"""BentoML: one service, one worker for one core, async API methods as in its documentation."""

from pathlib import Path
from typing import Any

import bentoml
import msgspec
import numpy as np

from fraudsim.log.events import Transaction
from load_tests.rivals.scoring_setup import open_reader, read_setup
from model.forest.forest import booster_of
from stream_features.store.connection import RedisClient

SETUP = read_setup()


@bentoml.service(workers=1, traffic={"timeout": 10}, logging={"access": {"enabled": False}})
class Fraud:
    """Scores transactions, and feature vectors."""

    def __init__(self) -> None:
        self._reader = open_reader(RedisClient.with_long_timeouts(SETUP.redis_url), SETUP.segment)
        self._booster = booster_of(Path(SETUP.xgboost_model).read_bytes())

    def _score(self, matrix: np.ndarray[Any, np.dtype[np.float32]]) -> dict[str, float]:
        return {"score": float(self._booster.inplace_predict(matrix)[0])}

    @bentoml.api
    async def score(self, transaction: dict[str, Any]) -> dict[str, float]:
        """A transaction in, its features read, a score out."""
        (reading,) = await self._reader.read([msgspec.convert(transaction, Transaction)])
        return self._score(reading.features.reshape(1, -1))

    @bentoml.api
    async def score_vector(self, features: list[float]) -> dict[str, float]:
        """A feature vector in, a score out."""
        return self._score(np.array([features], np.float32))
