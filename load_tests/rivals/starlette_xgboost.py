"""Starlette on uvicorn, msgspec, and XGBoost's inplace_predict: a careful hand-written server."""

import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fraudsim.log.events import decode_transaction, encoder
from load_tests.rivals.scoring_setup import open_reader, read_setup
from load_tests.rivals.vector_app import serve_app, serve_vectors
from model.forest.forest import Matrix, booster_of
from stream_features.store.connection import RedisClient

SETUP = read_setup()
booster = booster_of(Path(SETUP.xgboost_model).read_bytes())


def score_of(row: Matrix) -> float:
    """Score of a row, float32 (1, SIZE)."""
    return float(booster.inplace_predict(row)[0])


def serve() -> None:
    """Serve: a transaction in, its features read, a score out."""
    reader = open_reader(RedisClient.with_long_timeouts(SETUP.redis_url), SETUP.segment)

    async def score(request: Request) -> Response:
        (reading,) = await reader.read([decode_transaction(await request.body())])
        body = encoder.encode({"score": score_of(reading.features.reshape(1, -1))})
        return Response(body, media_type="application/json")

    serve_app(Starlette(routes=[Route("/score", score, methods=["POST"])]), SETUP.port)


if __name__ == "__main__":
    if "--vectors" in sys.argv:
        serve_vectors(score_of, SETUP.port)
    else:
        serve()
