"""A stock Faust agent: reads each transaction's features, calls inplace_predict, writes a score."""

import os
import tempfile
from pathlib import Path
from typing import Any

import faust

from fraudsim.log.events import decode_transaction, encoder
from fraudsim.log.topics import TRANSACTIONS
from load_tests.rivals.scoring_setup import SCORES, open_reader, read_setup
from model.forest.forest import booster_of
from stream_features.store.connection import RedisClient

SETUP = read_setup()
booster = booster_of(Path(SETUP.xgboost_model).read_bytes())
app = faust.App(
    f"bench-{os.getpid()}",
    broker=f"kafka://{SETUP.kafka_bootstrap}",
    value_serializer="raw",
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="latest",
    datadir=tempfile.mkdtemp(),
)
transactions = app.topic(TRANSACTIONS)
scores = app.topic(SCORES, value_serializer="raw")


@app.agent(transactions)
async def score(values: Any) -> None:
    reader = open_reader(RedisClient.with_long_timeouts(SETUP.redis_url), SETUP.segment)
    async for value in values:
        tx = decode_transaction(value)
        (reading,) = await reader.read([tx])
        prediction = float(booster.inplace_predict(reading.features.reshape(1, -1))[0])
        await scores.send(
            key=tx.card_id.encode(), value=encoder.encode({"tx_id": tx.tx_id, "score": prediction})
        )


if __name__ == "__main__":
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()
