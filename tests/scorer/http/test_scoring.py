"""`POST /v1/score` over fakes: what stays in flight, which segment a record names, what is refused."""

import asyncio
import json
import time

import pytest
from aiokafka.errors import KafkaTimeoutError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from fraudsim import metrics
from fraudsim.log import headers as h
from fraudsim.log.clock import LoggedSegment
from fraudsim.log.events import MAX_EVENT_BYTES, Transaction, encoder
from scorer.idempotency.claims import Claim
from stream_features.catalogue.features import WINDOWED
from stream_features.online import in_flight as pendings
from stream_features.online.in_flight import MAX_IN_FLIGHT_OF_KEY
from testing.rigs.http_rig import HttpRig, decision, score_body, segment, try_later_detail


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_what_was_answered_is_pending_until_the_log_was_read_past_it(durability):
    async def scene():
        rig = HttpRig(durability)
        assert (await rig.score("t0"))[0] == 200
        assert (await rig.score("t1"))[0] == 200
        await rig.scoring.drain()
        assert rig.in_flight_ids == ["t0", "t1"]
        rig.read_log(0, "t0")
        assert rig.in_flight_ids == ["t1"]
        rig.read_log(1)  # its record does not count and bears no tx_id
        assert rig.in_flight_ids == []

    asyncio.run(scene())


def test_an_acknowledgement_after_the_reading_leaves_nothing_behind():
    async def scene():
        rig = HttpRig()
        rig.producer.may_acknowledge = asyncio.Event()
        await rig.score("t0")
        await asyncio.sleep(0)
        rig.read_log(0)
        assert rig.in_flight_ids == ["t0"]  # nothing says yet that the offset was its
        rig.producer.may_acknowledge.set()
        await rig.scoring.drain()
        assert rig.in_flight_ids == []

    asyncio.run(scene())


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_what_did_not_get_into_the_log_is_not_pending(durability):
    async def scene():
        rig = HttpRig(durability)
        rig.producer.away = True
        reply = await rig.score("t0")
        await rig.scoring.drain()
        assert rig.in_flight_ids == []
        if durability == "async":
            assert reply[0] == 200
        else:
            try_later_detail(reply)
            assert rig.redis_claims.values == {}
            rig.producer.away = False
            assert (await rig.score("t0"))[0] == 200

    asyncio.run(scene())


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_a_decision_that_redis_cannot_keep_is_answered_all_the_same_and_kept_here(durability):
    async def scene():
        rig = HttpRig(durability)

        async def store_all(settled, linger_s):
            raise RedisConnectionError("gone")

        settle, rig.redis_claims.store_all = rig.redis_claims.store_all, store_all
        rig.redis_claims.store_late = lambda claim, body: settle([(claim, body)])
        status, _, first = await rig.score("t0")
        assert status == 200
        await rig.scoring.drain()
        assert rig.in_flight_ids == ["t0"]
        rig.read_log(0, "t0")
        assert rig.in_flight_ids == []
        assert (await rig.score("t0"))[2] == first
        assert (await rig.score("t0", amount=2))[0] == 409
        assert len(rig.producer.records) == 1
        await asyncio.sleep(0)
        assert rig.redis_claims.values["t0"][1]  # it was only slow: there by now for every other process

    asyncio.run(scene())


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_a_reply_is_kept_in_company_unless_somebody_waits_for_that(durability):
    async def scene():
        rig = HttpRig(durability)
        lingered = []

        async def store_all(settled, linger_s):
            lingered.append(linger_s)

        rig.redis_claims.store_all = store_all
        assert (await rig.score("t0"))[0] == 200
        await rig.scoring.drain()
        (linger_s,) = lingered
        assert (linger_s > 0) == (durability == "async")

    asyncio.run(scene())


def test_past_the_cap_requests_are_refused_until_the_log_gives_something_back(monkeypatch):
    monkeypatch.setattr(pendings, "MAX_IN_FLIGHT", 3)

    async def scene():
        rig = HttpRig()
        replies = await asyncio.gather(*(rig.score(f"t{n}", f"c{n}", f"m{n}") for n in range(10)))
        assert sorted(status for status, _, _ in replies) == [200] * 3 + [503] * 7
        reason = try_later_detail(replies[-1])
        assert reason == "3 transactions wait to be read back from the log: the log cannot keep up"
        assert len(rig.redis_claims.values) == 3  # the others' claims are free
        assert len(rig.in_flight) == 3
        await rig.scoring.drain()
        rig.read_log(0)
        assert (await rig.score("t10", "c10", "m10"))[0] == 200

    asyncio.run(scene())


def test_a_record_names_the_segment_that_accepted_its_request():
    async def scene():
        rig = HttpRig()
        rig.on_decide = lambda: rig.clock.add(LoggedSegment(segment(2), int(time.time() * 1000)))
        await rig.score("t0")
        await rig.scoring.drain()
        rig.on_decide = None
        await rig.score("t1")
        await rig.scoring.drain()
        assert [h.int_header(headers, h.SEGMENT) for _, headers in rig.producer.records] == [1, 2]

    asyncio.run(scene())


def test_without_redis_repeats_are_recognised_by_this_process_s_own_memory():
    async def scene():
        rig = HttpRig()
        rig.redis_claims.error = RedisConnectionError("Error 111 connecting to 127.0.0.1:6379")
        status, _, first = await rig.score("t0")
        assert status == 200
        assert await rig.score("t0") == (200, *(await rig.score("t0"))[1:])
        assert (await rig.score("t0"))[2] == first
        assert (await rig.score("t0", amount=2))[0] == 409
        assert (await rig.ask("GET", "/v1/decisions/t0"))[2] == first
        assert "kept decisions" in try_later_detail(await rig.ask("GET", "/v1/decisions/t1"))
        rig.redis_claims.error = None
        assert (await rig.score("t0"))[2] == first
        await rig.scoring.drain()
        assert len(rig.producer.records) == 1
        assert (await rig.ask("GET", "/v1/decisions/t1"))[0] == 404

    asyncio.run(scene())


def test_what_was_answered_before_redis_went_is_answered_the_same_while_it_is_gone():
    async def scene():
        rig = HttpRig()
        _, _, first = await rig.score("t0")
        rig.redis_claims.error = RedisConnectionError("gone")
        assert (await rig.score("t0"))[2] == first
        assert (await rig.score("t0", amount=2))[0] == 409
        assert rig.batch_sizes == [1]

    asyncio.run(scene())


def test_without_redis_who_failed_may_try_again():
    async def scene():
        rig = HttpRig("acked")
        rig.redis_claims.error = RedisConnectionError("gone")
        rig.producer.away = True
        try_later_detail(await rig.score("t0"))
        rig.producer.away = False
        assert (await rig.score("t0"))[0] == 200

    asyncio.run(scene())


def test_requests_that_come_together_are_decided_together_and_each_gets_its_own_reply():
    async def scene():
        rig = HttpRig()
        replies = await asyncio.gather(*(rig.score(f"t{n}", f"c{n}") for n in range(5)))
        assert [status for status, _, _ in replies] == [200] * 5
        assert [reply["tx_id"] for _, _, reply in replies] == [f"t{n}" for n in range(5)]
        assert rig.batch_sizes == [5]
        assert (await rig.score("t5"))[0] == 200
        assert rig.batch_sizes == [5, 1]

    asyncio.run(scene())


def test_a_request_that_waits_for_another_process_delays_no_other_of_its_micro_batch():
    async def scene():
        rig = HttpRig()
        claim = Claim.of("t0", encoder.encode(score_body("t0")))
        rig.redis_claims.values["t0"] = (claim, None)
        waiting = asyncio.ensure_future(rig.score("t0"))
        others = await asyncio.gather(*(rig.score(f"t{n}") for n in (1, 2)))
        assert [status for status, _, _ in others] == [200, 200]
        assert rig.batch_sizes == [2]
        assert not waiting.done()
        tx = Transaction(tx_id="t0", ts=0, card_id="c", merchant_id="m", amount_cents=1)
        stored_decision = encoder.encode(decision(tx))
        rig.redis_claims.values["t0"] = (claim, stored_decision)
        status, _, reply = await waiting
        assert (status, reply) == (200, json.loads(stored_decision))
        assert rig.batch_sizes == [2]

    asyncio.run(scene())


def test_the_state_is_read_together_with_the_claim():
    async def scene():
        rig = HttpRig()
        order = []

        async def claim_all(claims):
            order.append("claim asked")
            await asyncio.sleep(0.01)
            order.append("claim answered")
            return await claim_all_now(claims)

        claim_all_now, rig.redis_claims.claim_all = rig.redis_claims.claim_all, claim_all

        def prefetch(transactions, linger_s):
            order.append([tx.tx_id for tx in transactions])
            assert linger_s > 0  # else the two would be two sends

        rig.decider.prefetch = prefetch
        await asyncio.gather(rig.score("t0"), rig.score("t1", "d"))
        assert order[:2] == [["t0", "t1"], "claim asked"]

    asyncio.run(scene())


def test_requests_beyond_the_permits_and_the_queue_are_shed():
    async def scene():
        rig = HttpRig(http_max_concurrent=2, http_queue_ms=20)
        slow, decide = asyncio.Event(), rig.decide

        async def decide_slowly(*arguments):
            await slow.wait()
            return await decide(*arguments)

        rig.decider.decide = decide_slowly
        asking = [asyncio.ensure_future(rig.score(f"t{n}", f"c{n}")) for n in range(12)]
        await asyncio.sleep(0.1)
        slow.set()
        replies = await asyncio.gather(*asking)
        assert [status for status, _, _ in replies] == [200] * 2 + [503] * 10
        assert try_later_detail(replies[-1]) == "too many requests at once"
        assert (await rig.score("t12"))[0] == 200  # the places are free again

    asyncio.run(scene())


def test_readyz_says_why_decisions_are_made_without_state():
    async def scene():
        rig = HttpRig()
        assert (await rig.ask("GET", "/readyz"))[2] == {"status": "ready", "reason": ""}
        rig.state.trip_reason = "not_primed"
        rig.state.breaker.trip(0.0)
        status, _, reply = await rig.ask("GET", "/readyz")
        assert (status, reply["status"]) == (200, "degraded")
        assert "fraudsim features prime" in reply["reason"]

    asyncio.run(scene())


def test_an_internal_error_is_reported_without_its_message():
    async def scene():
        rig = HttpRig()

        async def fail(*_):
            raise RuntimeError("secret")

        rig.decider.decide = fail
        replies = []
        with pytest.raises(RuntimeError):  # on its way to the server's log
            await rig.ask("POST", "/v1/score", encoder.encode(score_body("t0")), messages=replies)
        assert replies[0]["status"] == 500
        assert b"secret" not in replies[1]["body"]
        assert (len(rig.in_flight), rig.redis_claims.values) == (0, {})

    asyncio.run(scene())


def test_a_decision_with_the_most_that_can_be_pending_is_within_the_size_of_an_event():
    ids = [f"{n:064}" for n in range(len(WINDOWED) * MAX_IN_FLIGHT_OF_KEY)]
    tx = Transaction(tx_id="t", ts=0, card_id="c", merchant_id="m", amount_cents=1)
    assert len(encoder.encode(decision(tx, ids))) < 0.7 * MAX_EVENT_BYTES


def test_a_decision_that_the_log_could_not_hold_is_not_answered_and_may_be_asked_for_again():
    """Counting ids is not enough: JSON writes some characters as two."""
    rig = HttpRig()
    escaped = ['"' * 60 + f"{n:04}" for n in range(596)]

    async def scene():
        rig.on_decide = lambda: None
        decide = rig.decide

        async def with_pending(incoming, *args, **fields):
            await decide(incoming, *args, **fields)
            return [decision(item.tx, escaped if item.tx.tx_id == "large" else ()) for item in incoming]

        rig.decider.decide = with_pending
        assert "do not fit" in try_later_detail(await rig.score("large"))
        assert rig.producer.records == []
        assert rig.in_flight_ids == []
        assert "large" not in rig.redis_claims.values
        items = await rig.score_batch([score_body("large"), score_body("small")])
        assert [item["status"] for item in items] == [503, 200]
        escaped.clear()
        assert (await rig.score("large"))[0] == 200

    asyncio.run(scene())


def test_acked_waits_for_the_log_no_longer_than_the_budget_and_a_repeat_gets_the_late_decision():
    async def scene():
        rig = HttpRig("acked", deadline_ms=100)
        rig.producer.may_acknowledge = asyncio.Event()
        async with asyncio.timeout(20):
            assert "did not acknowledge" in try_later_detail(await rig.score("t1"))
            assert rig.in_flight_ids == ["t1"]  # the log may have it
            rig.producer.may_acknowledge.set()
            await rig.scoring.drain()
        assert (await rig.score("t1"))[0] == 200
        assert len(rig.producer.records) == 1

    asyncio.run(scene())


def test_acked_frees_what_the_log_refused_late():
    async def scene():
        rig = HttpRig("acked", deadline_ms=100)
        may_fail = asyncio.Event()

        async def fail_late(*_, **__):
            await may_fail.wait()
            raise KafkaTimeoutError()

        send, rig.producer.send_and_wait = rig.producer.send_and_wait, fail_late
        async with asyncio.timeout(20):
            try_later_detail(await rig.score("t1"))
            may_fail.set()
            await rig.scoring.drain()
        assert (rig.in_flight_ids, rig.redis_claims.values) == ([], {})
        rig.producer.send_and_wait = send
        assert (await rig.score("t1"))[0] == 200

    asyncio.run(scene())


def test_a_redis_out_of_memory_is_its_own_reason():
    def counted(reason):
        return metrics.REDIS_FAILURES.labels("claims", reason)._value.get()

    async def scene():
        rig = HttpRig()
        before = counted("full"), counted("gone")
        rig.redis_claims.error = ResponseError("OOM command not allowed when used memory > 'maxmemory'.")
        assert (await rig.score("t1"))[0] == 200
        rig.redis_claims.error = ResponseError("LOADING Redis is loading the dataset in memory")
        assert (await rig.score("t2"))[0] == 200
        await rig.scoring.drain()
        assert counted("full") > before[0]
        assert counted("gone") > before[1]

    asyncio.run(scene())


def test_each_reply_that_redis_does_not_take_is_counted_and_repeated_by_this_process():
    def not_shared():
        return metrics.REPLIES_NOT_SHARED._value.get()

    async def scene():
        rig, before = HttpRig(), not_shared()
        assert (await rig.score("shared"))[0] == 200
        await rig.scoring.drain()
        assert not_shared() == before
        rig.redis_claims.error = ResponseError("OOM command not allowed when used memory > 'maxmemory'.")
        replies = [await rig.score(f"t{n}") for n in range(4)]
        await rig.scoring.drain()
        assert not_shared() == before + 4
        rig.claims.breaker.trip(time.monotonic())
        replies += [await rig.score(f"t{n}") for n in range(4, 9)]
        await rig.scoring.drain()
        assert not_shared() == before + 9
        assert [await rig.score(f"t{n}") for n in range(9)] == replies

    asyncio.run(scene())
