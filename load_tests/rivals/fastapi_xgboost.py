"""FastAPI with pydantic bodies and XGBClassifier, on uvicorn with the recommended uvloop and httptools."""

from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from xgboost import XGBClassifier

from fraudsim.log.events import Transaction
from load_tests.rivals.scoring_setup import open_reader, read_setup
from stream_features.store.connection import RedisClient

SETUP = read_setup()
reader = open_reader(RedisClient.with_long_timeouts(SETUP.redis_url), SETUP.segment)
classifier = XGBClassifier(n_jobs=1)
classifier.load_model(SETUP.xgboost_model)
app = FastAPI()


class Payment(BaseModel):
    """A transaction as a client sends it."""

    tx_id: str
    ts: int
    card_id: str
    amount_cents: int
    merchant_id: str | None = None
    device_id: str | None = None
    ip: str | None = None
    currency: str | None = None
    mcc: int | None = None
    channel: Any = None
    country: str | None = None
    lat: float | None = None
    lon: float | None = None
    sent_at: int = 0


class FeatureVector(BaseModel):
    """A feature vector."""

    features: list[float | None]


class Score(BaseModel):
    """Probability of fraud."""

    score: float


def _score(matrix: np.ndarray) -> Score:
    return Score(score=float(classifier.predict_proba(matrix)[0, 1]))


@app.post("/score")
async def score(payment: Payment) -> Score:
    """A transaction in, its features read, a score out."""
    (reading,) = await reader.read([Transaction(**payment.model_dump())])
    return _score(reading.features.reshape(1, -1))


@app.post("/score_vector")
async def score_vector(body: FeatureVector) -> Score:
    """A feature vector in, a score out."""
    return _score(np.array([body.features], dtype=np.float32))


if __name__ == "__main__":
    uvicorn.run(app, port=SETUP.port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
