"""The routes of the HTTP API, and the limits on a request body before it is decoded."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fraudsim import __version__, metrics
from fraudsim.log.acceptance import name_field
from fraudsim.log.events import encoder
from scorer.context import ScorerContext
from scorer.decide import now_us
from scorer.http.gate import HttpGate, Shortcut
from scorer.http.openapi import openapi
from scorer.http.problems import Problem, problem, problem_response
from scorer.http.schemas import (
    ChallengerReply,
    ClockReply,
    HealthReply,
    ModelReply,
    RawBatchItem,
    ReadyReply,
    ShadowReply,
    decode_batch,
)
from scorer.http.score_request import Received, ScoreResult, not_readable
from scorer.http.scoring import HttpScoring
from scorer.models.served import ServedModel
from scorer.models.shadows import Shadows, ShadowTally
from scorer.resilience.admission import Admission
from scorer.resilience.budget import Budget
from scorer.resilience.dependency import AwayError, Dependency

WITHOUT_STATE: Final = {
    "slow": "the feature state answers too late: decisions are made without it",
    "gone": "the feature state cannot be reached: decisions are made without it",
    "full": "Redis is out of memory: decisions are made without the feature state",
    "not_primed": "the feature state is not primed (fraudsim features prime): decisions are made without it",
}

NO_REPLY: Final = (
    "no reply to this tx_id is kept: HTTP replies are kept for 10 minutes, less under load; "
    "decisions made over the stream are in the topic decisions only"
)

_OK_REPLIES: Final = metrics.HTTP_REPLIES.labels("200")  # a lookup by labels costs as much as counting


def reply(content: Any) -> Response:
    """200 with JSON."""
    _OK_REPLIES.inc()
    body = content if isinstance(content, bytes) else encoder.encode(content)
    return Response(body, 200, None, "application/json")


def try_later(reason: str) -> Response:
    """503: the service cannot answer now; the request is not at fault."""
    return problem_response(problem("try-later", reason, "service"))


class HttpApi:
    """The HTTP side of a scorer process."""

    def __init__(
        self,
        context: ScorerContext,
        scoring: HttpScoring,
        served: ServedModel,
        shadows: Shadows,
        state: Dependency,
        ready: Callable[[], bool],
    ) -> None:
        settings = self._settings = context.settings
        self._clock_log = context.clock_log
        self._log = context.log
        self._scoring = scoring
        self._served = served
        self._shadows = shadows
        self._state = state
        self._ready = ready
        self.admission = Admission(settings.http_max_concurrent, settings.http_queue_ms / 1000)
        self._openapi = encoder.encode(openapi())
        app = Starlette(
            routes=[
                Route("/v1/score", self._score, methods=["POST"]),
                Route("/v1/score/batch", self._score_batch, methods=["POST"]),
                Route("/v1/decisions/{tx_id}", self._decision, methods=["GET"]),
                Route("/v1/clock", self._clock, methods=["GET"]),
                Route("/v1/model", self._model, methods=["GET"]),
                Route("/v1/openapi.json", self._openapi_document, methods=["GET"]),
                Route("/healthz", self._health, methods=["GET"]),
                Route("/readyz", self._readiness, methods=["GET"]),
            ],
            exception_handlers={HTTPException: self._not_routed, Exception: self._failed},
        )
        app.router.redirect_slashes = False
        quick = Shortcut(app, "/v1/score", self._score, self._failed)
        self.app: ASGIApp = HttpGate(
            quick,
            settings.http_token.get_secret_value(),
            [*settings.http_hosts.split(","), settings.http_host],
        )

    # Scoring

    async def _score(self, request: Request) -> Response:
        body = await self._body(request, self._settings.http_max_body_bytes)
        if isinstance(body, Problem):
            return problem_response(body)

        async def answer(received_us: int, started_s: float) -> Response:
            budget = Budget.of(started_s, self._settings.deadline_ms)
            result = await self._scoring.score(Received(body, received_us), budget)
            return problem_response(result) if isinstance(result, Problem) else reply(result)

        return await self._admitted(answer)

    async def _score_batch(self, request: Request) -> Response:
        body = await self._body(request, self._settings.http_max_batch_body_bytes)
        if isinstance(body, Problem):
            return problem_response(body)

        async def answer(received_us: int, started_s: float) -> Response:
            try:
                batch = decode_batch(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                return problem_response(not_readable(body, *name_field(str(error))))
            received = [Received(bytes(item), received_us) for item in batch.transactions]
            budget = Budget.of(started_s, self._settings.deadline_ms, len(received))
            results = await self._scoring.score_batch(received, budget)
            return reply({"results": list(map(_batch_item, results))})

        return await self._admitted(answer)

    async def _admitted(self, answer: Callable[[int, float], Awaitable[Response]]) -> Response:
        """Answer once admitted; the wait counts against the budget."""
        received_us, started_s = now_us(), time.monotonic()
        if not self._ready():
            return try_later("state is not ready yet")
        if not await self.admission.acquire():
            return try_later("too many requests at once")
        try:
            return await answer(received_us, started_s)
        finally:
            self.admission.release()

    async def _body(self, request: Request, limit: int) -> bytes | Problem:
        """The whole body, or a problem if it is over `limit` bytes or incomplete."""
        for name, value in request.scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > limit:
                return _too_large(limit)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":  # the protocol closed it after REQUEST_S
                return problem("request-timeout", "the connection ended before the request did", "request")
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                return _too_large(limit)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    # Other routes

    async def _decision(self, request: Request) -> Response:
        tx_id = request.path_params["tx_id"]
        budget = Budget.of(time.monotonic(), self._settings.deadline_ms)
        try:
            decision = await self._scoring.idempotency.stored_reply(tx_id, budget.deadline_s)
        except AwayError:
            return try_later("the kept decisions cannot be reached")
        if decision is None:
            return problem_response(problem("not-found", NO_REPLY, "tx_id"))
        return reply(decision)

    async def _clock(self, request: Request) -> Response:
        clock = self._clock_log.clock
        now_ms = int(clock.now_ms(time.time() * 1000))
        return reply(ClockReply(now_ms=now_ms, log_id=clock.log_id, segment=clock.current))

    async def _model(self, request: Request) -> Response:
        roles, previous = self._served.roles, self._served.previous
        model = roles.champion
        manifest = model.manifest
        return reply(
            ModelReply(
                version=manifest.version,
                kind=model.kind,
                features=manifest.features,
                metrics=model.metrics,
                fallback_features=manifest.fallback.features,
                fallback_metrics=manifest.fallback.metrics,
                previous=None if previous is None else previous.version,
                challengers=[
                    ChallengerReply(version=challenger.model.version, share=challenger.share)
                    for challenger in roles.challengers
                ],
                shadows=[*map(_shadow, self._shadows.tallies.items())],
                shadows_dropped=self._shadows.dropped,
            )
        )

    async def _openapi_document(self, request: Request) -> Response:
        return reply(self._openapi)

    async def _health(self, request: Request) -> Response:
        return reply(HealthReply(version=__version__))

    async def _readiness(self, request: Request) -> Response:
        if not self._ready():
            return try_later("not ready yet")
        if self._state.away is not None:
            return reply(ReadyReply(status="degraded", reason=WITHOUT_STATE[self._state.away]))
        return reply(ReadyReply(status="ready"))

    # Errors

    async def _not_routed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            refusal = problem("method-not-allowed", f"{request.method} is not among those allowed", "method")
            return problem_response(refusal, **(error.headers or {}))
        return problem_response(problem("not-found", "there is no such path", "url"))

    async def _failed(self, request: Request, error: Exception) -> Response:
        self._log.error("http_failed", path=request.url.path, error=repr(error))
        return problem_response(problem("internal", "see the server's log"))


def _too_large(limit: int) -> Problem:
    return problem("too-large", f"the body is over the limit of {limit} bytes", "body")


def _shadow(entry: tuple[str, ShadowTally]) -> ShadowReply:
    version, tally = entry
    return ShadowReply(
        version=version,
        compared=tally.compared,
        agreed=tally.agreed,
        mean_difference=tally.difference / max(1, tally.compared),
        differed={
            f"{champion}>{shadow}": count
            for (champion, shadow), count in sorted(tally.pairs.items())
            if champion != shadow
        },
    )


def _batch_item(result: ScoreResult) -> RawBatchItem:
    if isinstance(result, Problem):
        return RawBatchItem(status=result.status, problem=result)
    return RawBatchItem(status=200, decision=msgspec.Raw(result))
