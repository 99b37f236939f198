"""`POST /v1/score` and its neighbours. Bad input gets a 4xx that names the field."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fraudsim import __version__, metrics
from fraudsim import headers as h
from fraudsim.clock import event_time_ms
from fraudsim.clock_log import ClockLog
from fraudsim.events import Decision, TimeMs, Transaction, encoder
from fraudsim.settings import Settings
from fraudsim.topics import TRANSACTIONS
from fraudsim.validity import Rejected, read_event
from scorer.decide import Decider, Incoming, now_us
from scorer.idempotency import Idempotency
from scorer.observe import observe
from scorer.served_model import ServedModel
from stream_features.reader import FeatureReader, NotPrimedError

PENDING_S: Final = 60.0
"""A transaction not read back from the log within this is given up as lost on the way."""
REPEAT_WAIT_S: Final = 1.0


class ScoreRequest(Transaction, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A transaction as a client sends it; without `ts` it is stamped with the clock's now."""

    ts: TimeMs = 0


decode_request = msgspec.json.Decoder(ScoreRequest).decode


def reply(status: int, content: Any, **headers: str) -> Response:
    metrics.HTTP_REPLIES.labels(str(status)).inc()
    body = content if isinstance(content, bytes) else encoder.encode(content)
    return Response(body, status, headers or None, "application/json")


def refusal(status: int, field: str, reason: str, **headers: str) -> Response:
    """An error that names the field."""
    return reply(status, {"error": {"field": field, "reason": reason}}, **headers)


class HttpApi:
    """The HTTP side of a scorer process."""

    def __init__(
        self,
        settings: Settings,
        decider: Decider,
        reader: FeatureReader,
        clock_log: ClockLog,
        served: ServedModel,
        producer: Any,
        ready: Callable[[], bool],
        log: Any,
    ) -> None:
        self._settings = settings
        self._decider = decider
        self._reader = reader
        self._clock_log = clock_log
        self._served = served
        self._producer = producer
        self._ready = ready
        self._log = log
        self._idempotency = Idempotency(settings.redis_url)
        self._publishing: set[asyncio.Task[None]] = set()
        self.app = Starlette(
            routes=[
                Route("/v1/score", self._score, methods=["POST"]),
                Route("/v1/decisions/{tx_id}", self._stored, methods=["GET"]),
                Route("/v1/clock", self._clock, methods=["GET"]),
                Route("/v1/model", self._model, methods=["GET"]),
                Route("/healthz", self._health, methods=["GET"]),
                Route("/readyz", self._readiness, methods=["GET"]),
            ],
        )

    async def drain(self) -> None:
        """Wait until everything that was answered is in the log."""
        while self._publishing:
            await asyncio.gather(*self._publishing, return_exceptions=True)
        await self._idempotency.close()

    # Routes

    async def _score(self, request: Request) -> Response:
        received_us = now_us()
        body = await self._body(request)
        if body is None:
            limit = self._settings.http_max_body_bytes
            return refusal(413, "body", f"body is over the limit of {limit} bytes")
        if not self._ready():
            return refusal(503, "service", "state is not ready yet", **{"retry-after": "1"})
        asked = read_event(body, decode_request)
        if isinstance(asked, Rejected):
            return refusal(400 if asked.field == "value" else 422, asked.field, asked.reason)
        segment = self._clock_log.clock.current
        now_ms = event_time_ms(segment, received_us // 1000)  # in whole ms, as the judge of the log will
        tx = Transaction(**{**msgspec.structs.asdict(asked), "ts": asked.ts or now_ms})
        if tx.ts - now_ms > segment.future_ms:
            return refusal(
                422, "ts", f"ts={tx.ts} is {tx.ts - now_ms} ms ahead of now, more than {segment.future_ms}"
            )
        if now_ms - tx.ts > segment.past_ms:
            return refusal(
                422, "ts", f"ts={tx.ts} is {now_ms - tx.ts} ms behind now, more than {segment.past_ms}"
            )
        digest = Idempotency.digest(body)
        try:
            repeated = await self._repeat(tx.tx_id, digest)
            if repeated is not None:
                return repeated
            return await self._decide(tx, received_us, digest)
        except (NotPrimedError, RedisError, KafkaError) as error:
            self._log.warning("http_not_decided", tx_id=tx.tx_id, error=str(error))
            return refusal(
                503, "service", "the feature state or the log cannot be reached", **{"retry-after": "1"}
            )

    async def _body(self, request: Request) -> bytes | None:
        """The whole body, or None where it is over the limit."""
        limit = self._settings.http_max_body_bytes
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            return None
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    return None
        except ClientDisconnect:
            return b""
        return bytes(body)

    async def _repeat(self, tx_id: str, digest: bytes) -> Response | None:
        """The reply to a tx_id asked before; None if this request is the one to decide it."""
        deadline = time.monotonic() + REPEAT_WAIT_S
        while True:
            earlier = await self._idempotency.claim(tx_id, digest)
            if earlier is None:
                return None
            if not earlier.same_body:
                return refusal(409, "tx_id", f"tx_id {tx_id} was sent before with another body")
            if earlier.decision is not None:
                return reply(200, earlier.decision)
            if time.monotonic() > deadline:
                return refusal(503, "tx_id", f"tx_id {tx_id} is still being decided", **{"retry-after": "1"})
            await asyncio.sleep(0.01)

    async def _decide(self, tx: Transaction, received_us: int, digest: bytes) -> Response:
        self._reader.pending[tx.tx_id] = tx
        try:
            (decision,) = await self._decider.decide([Incoming(tx, received_us)], "http")
            body = encoder.encode(decision)
            if self._settings.http_durability == "acked":
                await self._publish(tx, decision, received_us)
            await self._idempotency.settle(tx.tx_id, digest, body)
        except BaseException:
            self._reader.pending.pop(tx.tx_id, None)
            await self._idempotency.give_up(tx.tx_id)
            raise
        observe(decision, self._clock_log.clock.current.speed)
        if self._settings.http_durability == "async":
            publishing = asyncio.create_task(self._publish(tx, decision, received_us))
            self._publishing.add(publishing)
            publishing.add_done_callback(self._publishing.discard)
        return reply(200, body)

    async def _publish(self, tx: Transaction, decision: Decision, received_us: int) -> None:
        """One record: the transaction, with its decision in a header, so the log has both or neither."""
        headers = [
            (h.SEGMENT, h.encode_int(self._clock_log.clock.current.number)),
            (h.RECEIVED, h.encode_int(received_us // 1000)),
            (h.DECISION, encoder.encode(decision)),
        ]
        try:
            await self._producer.send_and_wait(
                TRANSACTIONS, value=encoder.encode(tx), key=tx.card_id.encode(), headers=headers
            )
        except BaseException as error:
            self._reader.pending.pop(tx.tx_id, None)
            metrics.TRANSACTIONS.labels("http", "not_published").inc()
            self._log.error("http_not_published", tx_id=tx.tx_id, error=str(error))
            raise
        metrics.TRANSACTIONS.labels("http", "ok").inc()
        asyncio.get_running_loop().call_later(PENDING_S, self._reader.pending.pop, tx.tx_id, None)

    async def _stored(self, request: Request) -> Response:
        tx_id = request.path_params["tx_id"]
        found = await self._idempotency.stored(tx_id)
        if found is None:
            return refusal(404, "tx_id", f"no decision of the last 10 minutes for tx_id {tx_id}")
        return reply(200, found)

    async def _clock(self, request: Request) -> Response:
        clock = self._clock_log.clock
        return reply(
            200,
            {
                "now_ms": clock.now_ms(time.time() * 1000),
                "log_id": clock.log_id,
                "segment": clock.current,
            },
        )

    async def _model(self, request: Request) -> Response:
        manifest = self._served.model.manifest
        return reply(
            200, {"version": manifest.version, "features": manifest.features, "metrics": manifest.metrics}
        )

    async def _health(self, request: Request) -> Response:
        return reply(200, {"status": "alive", "version": __version__})

    async def _readiness(self, request: Request) -> Response:
        return reply(200, {"status": "ready"}) if self._ready() else refusal(503, "service", "not ready yet")
