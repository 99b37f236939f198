"""`POST /v1/score` over fakes: what stays pending, what it is published under, what is refused."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaTimeoutError
from made_log import make_segment
from redis.exceptions import ConnectionError as RedisConnectionError

from fraudsim import headers as h
from fraudsim.clock import Clock, PlacedSegment
from fraudsim.events import (
    MAX_EVENT_BYTES,
    Decision,
    LogPrefix,
    Stamps,
    Transaction,
    decode_transaction,
    encoder,
)
from fraudsim.settings import Settings
from scorer.http_api import HttpApi
from scorer.idempotency import Earlier
from stream_features import pending as pendings
from stream_features.catalogue import WINDOWED
from stream_features.pending import MAX_PENDING_OF_KEY, Pending
from stream_features.tail import Tail


def segment(number):
    return make_segment(number=number, event_epoch_ms=0)


def decision(tx, pending=()):
    return Decision(
        tx_id=tx.tx_id, ts=tx.ts, card_id=tx.card_id, amount_cents=1, score=0.1, action="approve", reasons=[],
        rule_hits=[], model_version="1", policy_version="1", variant="champion",
        stamps=Stamps(intended=1, received=1, state_read=1, features=1, scored=1, decided=1),
        source_partition=-1, source_offset=-1,
        prefix=LogPrefix(slots={}, tail_from=[], tail_to=[], pending=list(pending)), staleness_ms=0.0,
        features=[], feature_hash="",
    )  # fmt: skip


class Kept:
    """Idempotency in memory."""

    def __init__(self):
        self.values = {}
        self.error = None

    def _answer(self):
        if self.error:
            raise self.error

    async def claim(self, claim):
        self._answer()
        await asyncio.sleep(0)
        if claim.tx_id not in self.values:
            self.values[claim.tx_id] = None
            return None
        return Earlier(True, self.values[claim.tx_id])

    async def settle(self, claim, body):
        self._answer()
        self.values[claim.tx_id] = body

    async def give_up(self, claim):
        self._answer()
        del self.values[claim.tx_id]

    async def stored(self, tx_id):
        self._answer()
        return self.values.get(tx_id)

    async def close(self):
        pass


class Producer:
    """A log of one partition; `away` refuses, `let` holds the acknowledgements back."""

    def __init__(self):
        self.records = []
        self.away = False
        self.let = None

    async def send_and_wait(self, topic, value, key, headers):
        if self.away:
            raise KafkaTimeoutError()
        self.records.append((decode_transaction(value), headers))
        offset = len(self.records) - 1
        if self.let is not None:
            await self.let.wait()
        return SimpleNamespace(partition=0, offset=offset)


class Bench:
    """An API over fakes."""

    def __init__(self, durability="async"):
        self.tail = Tail(1, 1_000)
        self.reader = SimpleNamespace(pending=Pending(self.tail))
        self.clock = Clock([PlacedSegment(segment(1), 0)])
        self.producer, self.kept = Producer(), Kept()
        self.decider = SimpleNamespace(decide=self.decide)
        self.meanwhile = None
        silent = SimpleNamespace(warning=lambda *_, **__: None, error=lambda *_, **__: None)
        settings = Settings(_env_file=None, http_durability=durability)
        self.api = HttpApi(
            settings, self.decider, self.reader, SimpleNamespace(clock=self.clock), None, self.producer,
            lambda: True, silent,
        )  # fmt: skip
        self.api._idempotency = self.kept

    async def decide(self, incoming, via):
        if self.meanwhile is not None:
            self.meanwhile()
        return [decision(item.tx) for item in incoming]

    def read_log(self, offset, tx_id=""):
        self.tail.passed(0, offset)
        self.reader.pending.read_back(0, tx_id)

    async def ask(self, method, path, body=b""):
        """(status, headers, JSON)."""
        sent = []

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": b"", "headers": [],
            "client": ("test", 1), "server": ("test", 80),
        }  # fmt: skip
        await self.api.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, json.loads(sent[1]["body"])

    async def score(self, tx_id, card="c", merchant="m"):
        body = {"tx_id": tx_id, "card_id": card, "merchant_id": merchant, "amount_cents": 1}
        return await self.ask("POST", "/v1/score", json.dumps(body).encode())

    @property
    def waiting(self):
        return [tx.tx_id for tx in self.reader.pending.of(("card", "c"))]


def refused_for_now(reply):
    status, headers, body = reply
    assert (status, headers["retry-after"], body["error"]["field"]) == (503, "1", "service")
    assert "\n" not in body["error"]["reason"]
    return body["error"]["reason"]


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_what_was_answered_is_pending_until_the_log_was_read_past_it(durability):
    async def scene():
        bench = Bench(durability)
        assert (await bench.score("t0"))[0] == 200
        assert (await bench.score("t1"))[0] == 200
        await bench.api.drain()
        assert bench.waiting == ["t0", "t1"]
        bench.read_log(0, "t0")
        assert bench.waiting == ["t1"]
        bench.read_log(1)  # its record does not count and bears no tx_id
        assert bench.waiting == []

    asyncio.run(scene())


def test_an_acknowledgement_after_the_reading_leaves_nothing_behind():
    async def scene():
        bench = Bench()
        bench.producer.let = asyncio.Event()
        await bench.score("t0")
        await asyncio.sleep(0)
        bench.read_log(0)
        assert bench.waiting == ["t0"]  # nothing says yet that the offset was its
        bench.producer.let.set()
        await bench.api.drain()
        assert bench.waiting == []

    asyncio.run(scene())


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_what_did_not_get_into_the_log_is_not_pending(durability):
    async def scene():
        bench = Bench(durability)
        bench.producer.away = True
        reply = await bench.score("t0")
        await bench.api.drain()
        assert bench.waiting == []
        if durability == "async":
            assert reply[0] == 200
        else:
            refused_for_now(reply)
            assert bench.kept.values == {}
            bench.producer.away = False
            assert (await bench.score("t0"))[0] == 200

    asyncio.run(scene())


def test_what_is_in_the_log_stays_pending_though_its_decision_could_not_be_kept():
    async def scene():
        bench = Bench("acked")

        async def settle(claim, body):
            raise RedisConnectionError("gone")

        bench.kept.settle = settle
        refused_for_now(await bench.score("t0"))
        assert bench.waiting == ["t0"]
        bench.read_log(0, "t0")
        assert bench.waiting == []

    asyncio.run(scene())


def test_past_the_cap_requests_are_refused_until_the_log_gives_something_back(monkeypatch):
    monkeypatch.setattr(pendings, "MAX_PENDING", 3)

    async def scene():
        bench = Bench()
        replies = await asyncio.gather(*(bench.score(f"t{n}", f"c{n}", f"m{n}") for n in range(10)))
        assert sorted(status for status, _, _ in replies) == [200] * 3 + [503] * 7
        reason = refused_for_now(replies[-1])
        assert reason == "3 transactions wait to be read back from the log: the log cannot keep up"
        assert len(bench.kept.values) == 3  # the others' claims are free
        assert len(bench.reader.pending) == 3
        await bench.api.drain()
        bench.read_log(0)
        assert (await bench.score("t10", "c10", "m10"))[0] == 200

    asyncio.run(scene())


def test_a_record_names_the_segment_that_its_request_was_judged_by():
    async def scene():
        bench = Bench()
        bench.meanwhile = lambda: bench.clock.add(PlacedSegment(segment(2), int(time.time() * 1000)))
        await bench.score("t0")
        await bench.api.drain()
        bench.meanwhile = None
        await bench.score("t1")
        await bench.api.drain()
        assert [h.int_header(headers, h.SEGMENT) for _, headers in bench.producer.records] == [1, 2]

    asyncio.run(scene())


def test_without_redis_the_answer_is_try_later():
    async def scene():
        bench = Bench()
        bench.kept.error = RedisConnectionError("Error 111 connecting to 127.0.0.1:6379")
        assert "feature state" in refused_for_now(await bench.score("t0"))
        assert "kept decisions" in refused_for_now(await bench.ask("GET", "/v1/decisions/t0"))
        assert len(bench.reader.pending) == 0
        bench.kept.error = None
        assert (await bench.ask("GET", "/v1/decisions/t0"))[0] == 404

    asyncio.run(scene())


def test_a_decision_with_the_most_that_can_be_pending_is_within_the_size_of_an_event():
    ids = [f"{n:064}" for n in range(len(WINDOWED) * MAX_PENDING_OF_KEY)]
    tx = Transaction(tx_id="t", ts=0, card_id="c", merchant_id="m", amount_cents=1)
    assert len(encoder.encode(decision(tx, ids))) < 0.7 * MAX_EVENT_BYTES
