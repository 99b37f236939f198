"""The HTTP API over fakes: an in-memory log and claims, and a decider that approves everything."""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaTimeoutError

from fraudsim.log.clock import Clock, LoggedSegment
from fraudsim.log.events import Decision, LogPrefix, Segment, Stamps, Transaction, decode_transaction, encoder
from fraudsim.settings import Settings
from scorer.context import ScorerContext
from scorer.decide import Incoming, PrefetchedState
from scorer.http.api import HttpApi
from scorer.http.scoring import HttpScoring
from scorer.idempotency.claims import Claim, PriorClaim, same_body
from scorer.idempotency.idempotency import Idempotency
from scorer.models.roles import Roles
from scorer.resilience.dependency import Dependency
from stream_features.online.in_flight import InFlight
from stream_features.online.unfolded_log import UnfoldedLog
from testing.samples.log import make_segment
from testing.samples.manifest import MANIFEST, METRICS

Reply = tuple[int, dict[str, str], Any]
"""(status, headers, JSON)."""


def segment(number: int) -> Segment:
    return make_segment(number=number, event_epoch_ms=0)


def decision(tx: Transaction, pending: Iterable[str] = ()) -> Decision:
    """An approval of a transaction whose log prefix has these tx_ids in flight."""
    return Decision(
        tx_id=tx.tx_id, ts=tx.ts, card_id=tx.card_id, amount_cents=1, score=0.1, action="approve", reasons=[],
        rule_hits=[], model_version="1", policy_version="1", variant="champion",
        stamps=Stamps(intended=1, received=1, state_read=1, features=1, scored=1, decided=1),
        source_partition=-1, source_offset=-1,
        prefix=LogPrefix(slots={}, tail_from=[], tail_to=[], pending=list(pending)), staleness_ms=0.0,
        features=[], feature_hash="",
    )  # fmt: skip


def score_body(tx_id: str, card: str = "c", merchant: str = "m", amount: int = 1) -> dict[str, Any]:
    """The body of a scoring request."""
    return {"tx_id": tx_id, "card_id": card, "merchant_id": merchant, "amount_cents": amount}


def _fake(**attributes: Any) -> Any:
    """Stands for any class."""
    return SimpleNamespace(**attributes)


class FakeRedisClaims:
    """`RedisClaims` in memory; every call raises `error` where it is set."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[Claim, bytes | None]] = {}
        self.error: Exception | None = None

    def _raise_error(self) -> None:
        if self.error:
            raise self.error

    async def claim_all(self, claims: Sequence[Claim]) -> list[PriorClaim | None]:
        self._raise_error()
        await asyncio.sleep(0)
        priors: list[PriorClaim | None] = []
        for claim in claims:
            holder, body = self.values.setdefault(claim.tx_id, (claim, None))
            priors.append(None if holder is claim else PriorClaim(same_body(holder, claim), body))
        return priors

    async def store_all(self, replies: Sequence[tuple[Claim, bytes]], linger_s: float = 0.0) -> None:
        self._raise_error()
        self.values |= {claim.tx_id: (claim, body) for claim, body in replies}

    async def store_late(self, claim: Claim, body: bytes) -> None:
        await self.store_all([(claim, body)])

    async def release(self, claim: Claim) -> None:
        self._raise_error()
        del self.values[claim.tx_id]

    async def stored_reply(self, tx_id: str) -> bytes | None:
        self._raise_error()
        return self.values[tx_id][1] if tx_id in self.values else None


class FakeLogProducer:
    """A log of one partition; refuses while `away`, acknowledges once `may_acknowledge` is set."""

    def __init__(self) -> None:
        self.records: list[tuple[Transaction, Any]] = []
        self.record_count = 0
        self.away = False
        self.may_acknowledge: asyncio.Event | None = None

    async def send_and_wait(self, topic: str, value: bytes, key: bytes, headers: Any) -> SimpleNamespace:
        if self.away:
            raise KafkaTimeoutError()
        self.records.append((decode_transaction(value), headers))
        self.record_count += 1
        offset = self.record_count - 1
        if self.may_acknowledge is not None:
            await self.may_acknowledge.wait()
        return SimpleNamespace(partition=0, offset=offset)


class HttpRig:
    """An `HttpApi` over fakes, called without a network."""

    def __init__(self, durability: str = "async", **settings_fields: Any) -> None:
        self.unfolded_log = UnfoldedLog(1, 1_000)
        self.in_flight = InFlight(self.unfolded_log)
        self.clock = Clock([LoggedSegment(segment(1), 0)])
        self.producer, self.redis_claims = FakeLogProducer(), FakeRedisClaims()
        self.decider = _fake(decide=self.decide, prefetch=lambda *_: None)
        self.on_decide: Callable[[], object] | None = None
        """Called before each batch is decided."""
        self.batch_sizes: list[int] = []
        self.incoming: list[Incoming] = []
        """What was decided, with its stamps."""
        self.notified_ids: list[str] = []
        """tx_ids that `on_decided` was called with."""
        log = SimpleNamespace(warning=lambda *_, **__: None, error=lambda *_, **__: None)
        fields: dict[str, Any] = {"http_durability": durability, "deadline_ms": 2_000, **settings_fields}
        settings = Settings(_env_file=None, **fields)
        clock_log = _fake(clock=self.clock)
        redis_claims: Any = self.redis_claims
        self.claims, self.state = Dependency("claims"), Dependency("state")
        context = ScorerContext(settings, clock_log, log)
        self.scoring = HttpScoring(
            context, self.decider, self.in_flight, self.producer,
            Idempotency(redis_claims, self.claims), self._on_decided,
        )  # fmt: skip
        champion = _fake(manifest=MANIFEST, kind="full", metrics=METRICS)
        self.served = _fake(roles=Roles(champion), previous=None)
        self.shadows = _fake(tallies={}, dropped=0)
        self.api = HttpApi(context, self.scoring, self.served, self.shadows, self.state, lambda: True)

    def _on_decided(self, tx: Transaction, decision: Decision) -> None:
        self.notified_ids.append(tx.tx_id)

    async def decide(
        self,
        incoming: Sequence[Incoming],
        via: str,
        until_s: float,
        prefetched_state: PrefetchedState | None = None,
    ) -> list[Decision]:
        """Stands for `Decider.decide`."""
        if self.on_decide is not None:
            self.on_decide()
        self.batch_sizes.append(len(incoming))
        self.incoming += incoming
        return [decision(item.tx) for item in incoming]

    def read_log(self, offset: int, tx_id: str = "") -> None:
        """As when the log reader has read the record at `offset`."""
        self.unfolded_log.advance(0, offset)
        self.in_flight.read_back(0, tx_id)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] = (),
        messages: list[Any] | None = None,
    ) -> Reply:
        """The reply to one request; the ASGI messages sent are added to `messages`."""
        sent = [] if messages is None else messages

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": b"",
            "headers": list(headers), "client": ("test", 1), "server": ("test", 80),
        }  # fmt: skip
        await self.api.app(scope, receive, send)
        reply_headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], reply_headers, json.loads(sent[1]["body"])

    async def score(self, tx_id: str, card: str = "c", merchant: str = "m", amount: int = 1) -> Reply:
        return await self.ask("POST", "/v1/score", encoder.encode(score_body(tx_id, card, merchant, amount)))

    async def score_batch(self, transactions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The results of a batch."""
        body = encoder.encode({"transactions": transactions})
        status, _, reply = await self.ask("POST", "/v1/score/batch", body)
        assert status == 200, reply
        results: list[dict[str, Any]] = reply["results"]
        return results

    @property
    def in_flight_ids(self) -> list[str]:
        """tx_ids of card `c` that are not yet read back from the log."""
        return [tx.tx_id for tx in self.in_flight.of_key(("card", "c"))]


def try_later_detail(reply: Reply) -> str:
    """The detail of a reply that must be a well-formed try-later problem."""
    status, headers, body = reply
    assert (status, headers["retry-after"], body["field"]) == (503, "1", "service")
    assert (headers["content-type"], body["status"]) == ("application/problem+json", 503)
    detail: str = body["detail"]
    assert "\n" not in detail
    return detail
