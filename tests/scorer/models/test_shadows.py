"""Shadow models: what they compare and when, what they count, and that they delay no decision."""

import asyncio
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from fraudsim import metrics
from fraudsim.log.events import encoder
from model.artefact.model import Model
from model.artefact.thresholds import Thresholds
from model.forest.fit import fit_trees
from scorer.decide import Incoming
from scorer.models import shadows
from scorer.models.roles import ChallengerShare, Roles
from scorer.models.shadows import MAX_WAITING, Shadows
from scorer.policy.policy import ByThresholds, Exploration, Limits, Policy
from stream_features.vector import SIZE
from testing.rigs.http_rig import HttpRig, score_body
from testing.rigs.stream_rig import cancel, scorer_of, until
from testing.samples.manifest import MANIFEST
from tests.scorer.test_decide import Store, decider_of, transaction

CUT = 0.3
BY_TRAINED = {"champion": ByThresholds(), "fallback": ByThresholds()}
POLICY = Policy("1", BY_TRAINED, Limits(), Exploration(), ())


@pytest.fixture(scope="module")
def models():
    """Champion and shadow: both know the amount, of which the shadow has seen less fraud."""
    rng = np.random.default_rng(1)
    rows = rng.lognormal(5, 2, (3_000, SIZE)).astype(np.float32)

    def model(version, most):
        ubj = fit_trees(rows, rng.random(3_000) < 0.01 + most * (rows[:, 0] > 1_000), 1)
        manifest = msgspec.structs.replace(MANIFEST, version=version, thresholds=Thresholds(CUT, 1.0, 1.0))
        return Model(ubj, ubj, manifest)

    return model("champion", 0.6), model("shadow", 0.2)


def shadows_of(roles, policy=POLICY):
    served = SimpleNamespace(policy=policy, rule_failed=None)
    return Shadows(SimpleNamespace(roles=roles), served)


def decided(roles, amounts, policy=POLICY, after_s=0.0):
    served = SimpleNamespace(policy=policy, rule_failed=None)
    incoming = [Incoming(transaction(n, amount), 1, 0, n) for n, amount in enumerate(amounts, 9)]
    decisions = asyncio.run(decider_of(roles, Store(after_s), served).decide(incoming))
    return [(item.tx, decision) for item, decision in zip(incoming, decisions, strict=True)]


def compared(shadow_queue, pairs):
    for tx, decision in pairs:
        shadow_queue.offer(tx, decision)
    while shadow_queue._waiting:
        shadow_queue.compare_next()
    return shadow_queue.tallies["shadow"]


def test_what_champion_and_shadow_want_is_counted_by_pair_and_their_scores_by_difference(models):
    champion, shadow = models
    roles = Roles(champion, shadows=(shadow,))
    pairs = decided(roles, [300, 50_000, 400, 60_000, 70_000])
    counter = metrics.SHADOW_DECISIONS.labels("shadow", "step_up", "approve")
    before, dropped = counter._value.get(), metrics.SHADOW_DROPPED._value.get()
    tally = compared(shadows_of(roles), pairs)
    assert [decision.action for _, decision in pairs] == [
        "approve",
        "step_up",
        "approve",
        "step_up",
        "step_up",
    ]
    assert tally.pairs == {("approve", "approve"): 2, ("step_up", "approve"): 3}
    assert (tally.compared, tally.agreed) == (5, 2)
    rows = np.array([[np.nan if v is None else v for v in d.features] for _, d in pairs], np.float32)
    expected = shadow.predict(rows).astype(float) - champion.predict(rows).astype(float)
    assert tally.difference == pytest.approx(expected.sum(), abs=1e-12)
    assert counter._value.get() == before + 3
    assert metrics.SHADOW_DROPPED._value.get() == dropped


def test_neither_a_limit_nor_exploration_is_taken_for_a_difference(models):
    champion, _ = models
    same = Model(champion.ubj, champion.ubj, msgspec.structs.replace(champion.manifest, version="shadow"))
    always = ByThresholds(Thresholds(0.0, 0.1, CUT))
    policy = Policy(
        "2", {"champion": always, "fallback": always}, Limits(reviews_per_day=1),
        Exploration(share=0.5, salt="s", up_to_cents=10**9), (),
    )  # fmt: skip
    roles = Roles(champion, shadows=(same,))
    pairs = decided(roles, [50_000 + n for n in range(30)] + [300] * 10, policy)
    assert any("exploration" in decision.held_back for _, decision in pairs)
    tally = compared(shadows_of(roles, policy), pairs)
    assert tally.compared == tally.agreed == 40
    assert set(tally.pairs) >= {("decline", "decline")}


def test_only_what_the_champion_decided_with_state_is_compared(models):
    champion, shadow = models
    other = Model(champion.ubj, champion.ubj, msgspec.structs.replace(champion.manifest, version="other"))
    roles = Roles(champion, (ChallengerShare(other, 0, 9_999),), shadows=(shadow,))
    shadow_queue = shadows_of(roles)
    assert compared(shadow_queue, decided(roles, [50_000])).compared == 0
    assert compared(shadow_queue, decided(Roles(champion), [50_000], after_s=60.0)).compared == 0
    assert compared(shadow_queue, decided(Roles(champion), [50_000])).compared == 1


def test_what_an_exchanged_champion_decided_is_not_held_against_the_next(models):
    champion, shadow = models
    other = Model(champion.ubj, champion.ubj, msgspec.structs.replace(champion.manifest, version="other"))
    shadow_queue = shadows_of(Roles(champion, shadows=(shadow,)))
    for tx, decision in decided(Roles(champion), [50_000]):
        shadow_queue.offer(tx, decision)
    shadow_queue._models.roles = Roles(other, shadows=(shadow,))
    shadow_queue.compare_next()
    assert (shadow_queue._waiting, shadow_queue.tallies["shadow"].compared) == (shadows.deque(), 0)


def test_past_its_bound_what_waits_is_dropped_and_counted(models):
    champion, shadow = models
    roles = Roles(champion, shadows=(shadow,))
    shadow_queue, before = shadows_of(roles), metrics.SHADOW_DROPPED._value.get()
    ((tx, decision),) = decided(roles, [50_000])
    for _ in range(MAX_WAITING + 7):
        shadow_queue.offer(tx, decision)
    assert (len(shadow_queue._waiting), shadow_queue.dropped) == (MAX_WAITING, 7)
    assert metrics.SHADOW_DROPPED._value.get() == before + 7
    nobody = shadows_of(Roles(champion))
    nobody.offer(tx, decision)
    assert (len(nobody._waiting), nobody.dropped) == (0, 0)


def test_the_loop_is_left_to_others_between_slices(models):
    champion, shadow = models
    roles = Roles(champion, shadows=(shadow,))
    shadow_queue = shadows_of(roles)
    ((tx, decision),) = decided(roles, [50_000])

    async def scene():
        at_once, seen, before = [], 0, shadow_queue.tallies["shadow"].compared
        running = asyncio.create_task(shadow_queue.run())
        for _ in range(5 * shadows.SLICE):
            shadow_queue.offer(tx, decision)
        while seen < 5 * shadows.SLICE:
            await asyncio.sleep(0)
            now = shadow_queue.tallies["shadow"].compared - before
            at_once.append(now - seen)
            seen = now
        await cancel(running)
        return at_once

    at_once = asyncio.run(scene())
    assert max(at_once) == shadows.SLICE


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_over_http_what_has_its_reply_is_shown_and_what_has_none_is_not(durability):
    async def scene():
        rig = HttpRig(durability)
        await rig.score("t0")
        assert rig.notified_ids == ["t0"]
        await rig.score("t0")  # the kept reply
        assert (await rig.score("t0", amount=2))[0] == 409
        rig.producer.away = True
        await rig.score("t1")
        assert rig.notified_ids == (["t0", "t1"] if durability == "async" else ["t0"])
        await rig.scoring.drain()

    asyncio.run(scene())


class Sent(list):
    """What is sent of a reply, by kind, in the order of it and of whatever else is noted."""

    def append(self, message):
        super().append(message)
        self.order.append(message["type"])


@pytest.mark.parametrize("durability", ["async", "acked"])
def test_a_reply_is_written_before_a_shadow_is_asked(durability):
    async def scene():
        rig, sent, offered = HttpRig(durability), Sent(), asyncio.Event()
        sent.order = []

        async def look():
            await offered.wait()
            sent.order.append("shadow")

        shadow_queue = asyncio.create_task(look())
        rig.scoring._on_decided = lambda *_: offered.set()
        await rig.ask("POST", "/v1/score", encoder.encode(score_body("t0")), messages=sent)
        await shadow_queue
        assert sent.order == ["http.response.start", "http.response.body", "shadow"]
        await rig.scoring.drain()

    asyncio.run(scene())


def test_on_the_stream_what_was_published_is_shown():
    async def scene():
        scorer = scorer_of({0: 40})
        running = [asyncio.create_task(scorer.run()), asyncio.create_task(scorer.log_reader.run())]
        await until(lambda: len(scorer.notified_ids) >= 40)
        await cancel(*running)
        assert scorer.notified_ids == [f"t{n}" for n in range(40)]

    asyncio.run(scene())
