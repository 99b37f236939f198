"""`POST /v1/score/batch`: each transaction is decided or refused on its own, as a single one would be."""

import asyncio
import json

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from fraudsim.log.events import encoder
from scorer.http.scoring import SLICE
from scorer.resilience.budget import Budget
from stream_features.online import in_flight as pendings
from testing.rigs.http_rig import HttpRig, score_body


def run(scene):
    asyncio.run(scene())


def test_each_is_decided_or_refused_on_its_own_and_all_are_read_at_once():
    async def scene():
        rig = HttpRig()
        good = [score_body(f"t{n}", f"c{n}") for n in range(5)]
        bad = [
            {**score_body("x"), "amount_cents": -1},
            7,
            {**score_body("y"), "ts": 400 * 86_400_000},
            score_body("z" * 65),
        ]
        results = await rig.score_batch([*good, *bad])
        assert [result["status"] for result in results] == [200] * 5 + [422, 400, 422, 422]
        assert [result["decision"]["tx_id"] for result in results[:5]] == [f"t{n}" for n in range(5)]
        fields = [result["problem"]["field"] for result in results[5:]]
        assert fields == ["amount_cents", "value", "ts", "tx_id"]
        assert rig.batch_sizes == [5]
        await rig.scoring.drain()
        assert sorted(tx.tx_id for tx, _ in rig.producer.records) == [f"t{n}" for n in range(5)]

    run(scene)


def test_a_repeat_gets_what_the_single_one_got_and_the_other_way_round():
    async def scene():
        rig = HttpRig()
        _, _, first = await rig.score("t0")
        results = await rig.score_batch([score_body("t0"), score_body("t1"), score_body("t0", amount=2)])
        assert results[0]["decision"] == first
        assert [result["status"] for result in results] == [200, 200, 409]
        results = await rig.score_batch([score_body("t0", amount=2), score_body("t1")])
        assert results[0]["status"] == 409
        assert (await rig.score("t1"))[2] == results[1]["decision"]
        await rig.scoring.drain()
        assert len(rig.producer.records) == 2

    run(scene)


def test_within_a_batch_a_tx_id_is_decided_once():
    async def scene():
        rig = HttpRig()
        results = await rig.score_batch([score_body("t0"), score_body("t0"), score_body("t0", amount=2)])
        assert [result["status"] for result in results] == [200, 200, 409]
        assert results[0]["decision"] == results[1]["decision"]
        await rig.scoring.drain()
        assert len(rig.producer.records) == 1

    run(scene)


def test_what_has_no_room_is_refused_and_the_rest_decided(monkeypatch):
    monkeypatch.setattr(pendings, "MAX_IN_FLIGHT", 3)

    async def scene():
        rig = HttpRig()
        results = await rig.score_batch([score_body(f"t{n}", f"c{n}", f"m{n}") for n in range(5)])
        assert [result["status"] for result in results] == [200] * 3 + [503] * 2
        assert len(rig.redis_claims.values) == 3  # the others' claims are free

    run(scene)


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_a_thousand_are_taken_and_one_more_is_not(durability):
    async def scene():
        rig = HttpRig(durability)
        many = [score_body(f"t{n}", f"c{n}", f"m{n}") for n in range(1_000)]
        assert {result["status"] for result in await rig.score_batch(many)} == {200}
        assert sum(rig.batch_sizes) == 1_000
        body = encoder.encode({"transactions": [*many, score_body("more")]})
        status, headers, problem = await rig.ask("POST", "/v1/score/batch", body)
        assert (status, problem["field"]) == (422, "transactions")
        assert headers["content-type"] == "application/problem+json"

    run(scene)


def test_a_single_request_does_not_wait_for_a_batch():
    async def scene():
        rig = HttpRig()
        many, begun = [score_body(f"t{n}", f"c{n}", f"m{n}") for n in range(500)], asyncio.Event()
        rig.on_decide = begun.set
        batch = asyncio.create_task(rig.score_batch(many))
        await begun.wait()
        assert (await rig.score("single"))[0] == 200
        assert not batch.done()
        assert {result["status"] for result in await batch} == {200}
        assert max(rig.batch_sizes) == SLICE

    run(scene)


def test_a_part_of_a_batch_has_a_deadline_of_its_own_within_that_of_the_whole():
    whole = Budget.of(10.0, 50, 250)
    assert whole.deadline_s == pytest.approx(10.15)
    assert whole.remainder(10.02, 0.05) == Budget(10.02, 0.05)
    assert whole.remainder(10.12, 0.05).deadline_s == pytest.approx(10.15)
    assert whole.remainder(10.2, 0.05).total_s == 0


def test_in_acked_mode_what_the_log_refused_is_to_be_tried_again():
    async def scene():
        rig = HttpRig("acked")
        rig.producer.away = True
        results = await rig.score_batch([score_body("t0"), score_body("t1")])
        assert [result["status"] for result in results] == [503, 503]
        assert (rig.in_flight_ids, rig.redis_claims.values) == ([], {})
        rig.producer.away = False
        results = await rig.score_batch([score_body("t0"), score_body("t1")])
        assert [result["status"] for result in results] == [200, 200]

    run(scene)


def test_without_redis_a_batch_is_decided_all_the_same():
    async def scene():
        rig = HttpRig()
        rig.redis_claims.error = RedisConnectionError("gone")
        first = await rig.score_batch([score_body("t0"), score_body("t1")])
        assert [result["status"] for result in first] == [200, 200]
        assert await rig.score_batch([score_body("t0"), score_body("t1")]) == first

    run(scene)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "value"),
        (b"[]", 400, "value"),
        (b"{}", 422, "transactions"),
        (b'{"transactions": []}', 422, "transactions"),
        (b'{"transactions": 7}', 422, "transactions"),
        (b'{"transactions": [' + b"[" * 200_000, 400, "value"),
        (b'{"transactions": [\xff]}', 400, "value"),
        (b'{"transactions": [NaN]}', 400, "value"),
        (json.dumps({"transactions": [" " * 2_000_000]}).encode(), 413, "body"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_as_a_whole(body, status, field):
    async def scene():
        response_status, _, problem = await HttpRig().ask("POST", "/v1/score/batch", body)
        assert (response_status, problem["field"], problem["status"]) == (status, field, status)

    run(scene)
