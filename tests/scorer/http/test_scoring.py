"""`POST /v1/score` over fakes: what stays pending, what it is published under, what is refused."""

import asyncio
import json
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from fraudsim.log import headers as h
from fraudsim.log.clock import LoggedSegment
from fraudsim.log.events import MAX_EVENT_BYTES, Transaction, encoder
from scorer.http.claims import Claim
from stream_features.catalogue.features import WINDOWED
from stream_features.online import in_flight as pendings
from stream_features.online.in_flight import MAX_IN_FLIGHT_OF_KEY
from testing.rigs.http_rig import Bench, asked, decision, refused_for_now, segment


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_what_was_answered_is_pending_until_the_log_was_read_past_it(durability):
    async def scene():
        bench = Bench(durability)
        assert (await bench.score("t0"))[0] == 200
        assert (await bench.score("t1"))[0] == 200
        await bench.scoring.drain()
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
        await bench.scoring.drain()
        assert bench.waiting == []

    asyncio.run(scene())


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_what_did_not_get_into_the_log_is_not_pending(durability):
    async def scene():
        bench = Bench(durability)
        bench.producer.away = True
        reply = await bench.score("t0")
        await bench.scoring.drain()
        assert bench.waiting == []
        if durability == "async":
            assert reply[0] == 200
        else:
            refused_for_now(reply)
            assert bench.kept.values == {}
            bench.producer.away = False
            assert (await bench.score("t0"))[0] == 200

    asyncio.run(scene())


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_a_decision_that_redis_cannot_keep_is_answered_all_the_same_and_kept_here(durability):
    async def scene():
        bench = Bench(durability)

        async def settle_all(settled, linger_s):
            raise RedisConnectionError("gone")

        settle, bench.kept.settle_all = bench.kept.settle_all, settle_all
        bench.kept.keep = lambda claim, body: settle([(claim, body)])
        status, _, first = await bench.score("t0")
        assert status == 200
        await bench.scoring.drain()
        assert bench.waiting == ["t0"]
        bench.read_log(0, "t0")
        assert bench.waiting == []
        assert (await bench.score("t0"))[2] == first
        assert (await bench.score("t0", amount=2))[0] == 409
        assert len(bench.producer.records) == 1
        await asyncio.sleep(0)
        assert bench.kept.values["t0"][1]  # it was only slow: there by now for every other process

    asyncio.run(scene())


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_a_reply_is_kept_in_company_unless_somebody_waits_for_that(durability):
    async def scene():
        bench = Bench(durability)
        lingered = []

        async def settle_all(settled, linger_s):
            lingered.append(linger_s)

        bench.kept.settle_all = settle_all
        assert (await bench.score("t0"))[0] == 200
        await bench.scoring.drain()
        (linger_s,) = lingered
        assert (linger_s > 0) == (durability == "async")

    asyncio.run(scene())


def test_past_the_cap_requests_are_refused_until_the_log_gives_something_back(monkeypatch):
    monkeypatch.setattr(pendings, "MAX_IN_FLIGHT", 3)

    async def scene():
        bench = Bench()
        replies = await asyncio.gather(*(bench.score(f"t{n}", f"c{n}", f"m{n}") for n in range(10)))
        assert sorted(status for status, _, _ in replies) == [200] * 3 + [503] * 7
        reason = refused_for_now(replies[-1])
        assert reason == "3 transactions wait to be read back from the log: the log cannot keep up"
        assert len(bench.kept.values) == 3  # the others' claims are free
        assert len(bench.pending) == 3
        await bench.scoring.drain()
        bench.read_log(0)
        assert (await bench.score("t10", "c10", "m10"))[0] == 200

    asyncio.run(scene())


def test_a_record_names_the_segment_that_its_request_was_judged_by():
    async def scene():
        bench = Bench()
        bench.meanwhile = lambda: bench.clock.add(LoggedSegment(segment(2), int(time.time() * 1000)))
        await bench.score("t0")
        await bench.scoring.drain()
        bench.meanwhile = None
        await bench.score("t1")
        await bench.scoring.drain()
        assert [h.int_header(headers, h.SEGMENT) for _, headers in bench.producer.records] == [1, 2]

    asyncio.run(scene())


def test_without_redis_a_tx_id_is_settled_by_this_process_s_own_memory():
    async def scene():
        bench = Bench()
        bench.kept.error = RedisConnectionError("Error 111 connecting to 127.0.0.1:6379")
        status, _, first = await bench.score("t0")
        assert status == 200
        assert await bench.score("t0") == (200, *(await bench.score("t0"))[1:])
        assert (await bench.score("t0"))[2] == first
        assert (await bench.score("t0", amount=2))[0] == 409
        assert (await bench.ask("GET", "/v1/decisions/t0"))[2] == first
        assert "kept decisions" in refused_for_now(await bench.ask("GET", "/v1/decisions/t1"))
        bench.kept.error = None
        assert (await bench.score("t0"))[2] == first
        await bench.scoring.drain()
        assert len(bench.producer.records) == 1
        assert (await bench.ask("GET", "/v1/decisions/t1"))[0] == 404

    asyncio.run(scene())


def test_what_was_answered_before_redis_went_is_answered_the_same_while_it_is_gone():
    async def scene():
        bench = Bench()
        _, _, first = await bench.score("t0")
        bench.kept.error = RedisConnectionError("gone")
        assert (await bench.score("t0"))[2] == first
        assert (await bench.score("t0", amount=2))[0] == 409
        assert bench.batches == [1]

    asyncio.run(scene())


def test_without_redis_who_failed_may_try_again():
    async def scene():
        bench = Bench("acked")
        bench.kept.error = RedisConnectionError("gone")
        bench.producer.away = True
        refused_for_now(await bench.score("t0"))
        bench.producer.away = False
        assert (await bench.score("t0"))[0] == 200

    asyncio.run(scene())


def test_requests_that_come_together_are_decided_together_and_each_gets_its_own_reply():
    async def scene():
        bench = Bench()
        replies = await asyncio.gather(*(bench.score(f"t{n}", f"c{n}") for n in range(5)))
        assert [status for status, _, _ in replies] == [200] * 5
        assert [reply["tx_id"] for _, _, reply in replies] == [f"t{n}" for n in range(5)]
        assert bench.batches == [5]
        assert (await bench.score("t5"))[0] == 200
        assert bench.batches == [5, 1]

    asyncio.run(scene())


def test_who_waits_for_another_process_holds_up_nobody_that_came_together_with_it():
    async def scene():
        bench = Bench()
        claim = Claim.of("t0", encoder.encode(asked("t0")))
        bench.kept.values["t0"] = (claim, None)
        waiting = asyncio.ensure_future(bench.score("t0"))
        others = await asyncio.gather(*(bench.score(f"t{n}") for n in (1, 2)))
        assert [status for status, _, _ in others] == [200, 200]
        assert bench.batches == [2]
        assert not waiting.done()
        tx = Transaction(tx_id="t0", ts=0, card_id="c", merchant_id="m", amount_cents=1)
        theirs = encoder.encode(decision(tx))
        bench.kept.values["t0"] = (claim, theirs)
        status, _, reply = await waiting
        assert (status, reply) == (200, json.loads(theirs))
        assert bench.batches == [2]

    asyncio.run(scene())


def test_the_state_is_asked_for_together_with_the_claim():
    async def scene():
        bench = Bench()
        order = []

        async def claim_all(claims):
            order.append("claim asked")
            await asyncio.sleep(0.01)
            order.append("claim answered")
            return await claim_all_now(claims)

        claim_all_now, bench.kept.claim_all = bench.kept.claim_all, claim_all

        def prefetch(transactions, linger_s):
            order.append([tx.tx_id for tx in transactions])
            assert linger_s > 0  # else the two would be two sends

        bench.decider.prefetch = prefetch
        await asyncio.gather(bench.score("t0"), bench.score("t1", "d"))
        assert order[:2] == [["t0", "t1"], "claim asked"]

    asyncio.run(scene())


def test_past_the_places_and_the_queue_requests_are_shed():
    async def scene():
        bench = Bench(http_max_concurrent=2, http_queue_ms=20)
        slow, decide = asyncio.Event(), bench.decide

        async def decide_slowly(*arguments):
            await slow.wait()
            return await decide(*arguments)

        bench.decider.decide = decide_slowly
        asking = [asyncio.ensure_future(bench.score(f"t{n}", f"c{n}")) for n in range(12)]
        await asyncio.sleep(0.1)
        slow.set()
        replies = await asyncio.gather(*asking)
        assert [status for status, _, _ in replies] == [200] * 2 + [503] * 10
        assert refused_for_now(replies[-1]) == "too many requests at once"
        assert (await bench.score("t12"))[0] == 200  # the places are free again

    asyncio.run(scene())


def test_readyz_says_why_decisions_are_made_without_state():
    async def scene():
        bench = Bench()
        assert (await bench.ask("GET", "/readyz"))[2] == {"status": "ready", "reason": ""}
        bench.state.why = "not_primed"
        bench.state.breaker.trip(0.0)
        status, _, reply = await bench.ask("GET", "/readyz")
        assert (status, reply["status"]) == (200, "degraded")
        assert "fraudsim features prime" in reply["reason"]

    asyncio.run(scene())


def test_a_failure_inside_is_told_without_what_it_was():
    async def scene():
        bench = Bench()

        async def fail(*_):
            raise RuntimeError("secret")

        bench.decider.decide = fail
        replies = []
        with pytest.raises(RuntimeError):  # on its way to the server's log
            await bench.ask("POST", "/v1/score", encoder.encode(asked("t0")), replies=replies)
        assert replies[0]["status"] == 500
        assert b"secret" not in replies[1]["body"]
        assert (len(bench.pending), bench.kept.values) == (0, {})

    asyncio.run(scene())


def test_a_decision_with_the_most_that_can_be_pending_is_within_the_size_of_an_event():
    ids = [f"{n:064}" for n in range(len(WINDOWED) * MAX_IN_FLIGHT_OF_KEY)]
    tx = Transaction(tx_id="t", ts=0, card_id="c", merchant_id="m", amount_cents=1)
    assert len(encoder.encode(decision(tx, ids))) < 0.7 * MAX_EVENT_BYTES
