"""Starlette on uvicorn (uvloop, httptools) and msgspec: a feature vector in, a score out."""

from collections.abc import Callable

import msgspec
import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fraudsim.log.events import encoder
from model.forest.forest import Matrix


class VectorBody(msgspec.Struct, frozen=True):
    """One row of the model's input."""

    features: list[float]


decode = msgspec.json.Decoder(VectorBody).decode


def serve_vectors(score: Callable[[Matrix], float], port: int) -> None:
    """Serve until the process is stopped; `score` takes float32 (1, SIZE)."""

    async def score_vector(request: Request) -> Response:
        row = np.array([decode(await request.body()).features], np.float32)
        return Response(encoder.encode({"score": score(row)}), media_type="application/json")

    serve_app(Starlette(routes=[Route("/score_vector", score_vector, methods=["POST"])]), port)


def serve_app(app: Starlette, port: int) -> None:
    """Serve as uvicorn recommends: one process for one core, uvloop and httptools."""
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")
