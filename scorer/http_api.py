"""`POST /v1/score` and its neighbours. Bad input gets a 4xx that names the field."""

import asyncio
import contextlib
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
from fraudsim.events import Decision, Segment, TimeMs, Transaction, encoder
from fraudsim.settings import Settings
from fraudsim.topics import TRANSACTIONS
from fraudsim.validity import Rejected, read_event
from scorer.decide import Decider, Incoming, now_us
from scorer.idempotency import Claim, Idempotency
from scorer.observe import observe
from scorer.served_model import ServedModel
from stream_features.pending import PendingFullError
from stream_features.reader import FeatureReader, NotPrimedError

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


def try_later(reason: str) -> Response:
    """A refusal that is nobody's fault who asks."""
    return refusal(503, "service", reason, **{"retry-after": "1"})


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
            return try_later("state is not ready yet")
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
        claim = Claim.of(tx.tx_id, body)
        try:
            self._reader.pending.check_room(tx)  # refused before it costs anything
            repeated = await self._repeat(claim)
            if repeated is not None:
                return repeated
            return await self._decide(tx, segment, received_us, claim)
        except PendingFullError as error:
            return try_later(f"{error}: the log cannot keep up")
        except (NotPrimedError, RedisError, KafkaError) as error:
            self._log.warning("http_not_decided", tx_id=tx.tx_id, error=str(error))
            return try_later("the feature state or the log cannot be reached")

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

    async def _repeat(self, claim: Claim) -> Response | None:
        """The reply to a tx_id asked before; None if this request is the one to decide it."""
        tx_id = claim.tx_id
        deadline = time.monotonic() + REPEAT_WAIT_S
        while True:
            earlier = await self._idempotency.claim(claim)
            if earlier is None:
                return None
            if not earlier.same_body:
                return refusal(409, "tx_id", f"tx_id {tx_id} was sent before with another body")
            if earlier.decision is not None:
                return reply(200, earlier.decision)
            if time.monotonic() > deadline:
                return refusal(503, "tx_id", f"tx_id {tx_id} is still being decided", **{"retry-after": "1"})
            await asyncio.sleep(0.01)

    async def _decide(self, tx: Transaction, segment: Segment, received_us: int, claim: Claim) -> Response:
        acked = self._settings.http_durability == "acked"
        in_log = False
        try:
            self._reader.pending.accept(tx)
            (decision,) = await self._decider.decide([Incoming(tx, received_us)], "http")
            body = encoder.encode(decision)
            if acked:
                await self._publish(tx, segment, decision, received_us)
                in_log = True
            await self._idempotency.settle(claim, body)
        except BaseException:
            if not in_log:
                self._reader.pending.drop(tx)
            with contextlib.suppress(RedisError):  # then it runs out by itself
                await self._idempotency.give_up(claim)
            raise
        observe(decision, segment.speed)
        if not acked:
            publishing = asyncio.create_task(self._publish(tx, segment, decision, received_us))
            self._publishing.add(publishing)
            publishing.add_done_callback(self._publishing.discard)
        return reply(200, body)

    async def _publish(self, tx: Transaction, segment: Segment, decision: Decision, received_us: int) -> None:
        """One record: the transaction, with its decision in a header, so the log has both or neither.

        It names the segment it was accepted by: what the clock says by now may be another, by which the
        judge of the log could come to another verdict.
        """
        headers = [
            (h.SEGMENT, h.encode_int(segment.number)),
            (h.RECEIVED, h.encode_int(received_us // 1000)),
            (h.DECISION, encoder.encode(decision)),
        ]
        try:
            place = await self._producer.send_and_wait(
                TRANSACTIONS, value=encoder.encode(tx), key=tx.card_id.encode(), headers=headers
            )
        except BaseException as error:
            # If the log has it all the same, it comes by the tail, as any other's record does.
            self._reader.pending.drop(tx)
            metrics.TRANSACTIONS.labels("http", "not_published").inc()
            self._log.error("http_not_published", tx_id=tx.tx_id, error=str(error))
            raise
        self._reader.pending.placed(tx, place.partition, place.offset)
        metrics.TRANSACTIONS.labels("http", "ok").inc()

    async def _stored(self, request: Request) -> Response:
        tx_id = request.path_params["tx_id"]
        try:
            found = await self._idempotency.stored(tx_id)
        except RedisError as error:
            self._log.warning("http_not_answered", tx_id=tx_id, error=str(error))
            return try_later("the kept decisions cannot be reached")
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
