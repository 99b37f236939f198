"""The decision: HTTP and the stream decide alike, with state and without."""

import asyncio
import gc
import time
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from fraudsim.log.events import LogPrefix, Transaction
from model.artefact.calibration import Calibration
from model.artefact.manifest import REQUEST_NAMES
from model.artefact.model import Model
from model.artefact.thresholds import Thresholds
from model.forest.fit import fit_trees
from model.registry.aliases import bucket_of
from model.training.fallback import request_only
from scorer.decide import Decider, Incoming
from scorer.models.roles import ChallengerShare, Roles
from scorer.policy.file import SHIPPED, load_policy
from scorer.policy.policy import ByThresholds, Exploration, Limits, Policy
from scorer.policy.quota import LocalQuota
from scorer.resilience.dependency import Dependencies, Dependency
from stream_features.catalogue.features import HASH, MINUTE, NAMES
from stream_features.online.reader import FeatureReader
from stream_features.online.unfolded_log import UnfoldedLog
from stream_features.store.keys import watermark_key
from stream_features.store.watermark import Watermark, encode_watermark
from stream_features.vector import SIZE
from testing.samples.log import T0, make_segment
from testing.samples.manifest import MANIFEST

PATIENCE_S = 0.2
POLICY = load_policy(SHIPPED)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    features = rng.lognormal(5, 2, (3_000, SIZE)).astype(np.float32)
    fraud = rng.random(3_000) < 0.05 + 0.5 * (features[:, 0] > 1_000)
    return Model(fit_trees(features, fraud, 1), fit_trees(request_only(features), fraud, 1), MANIFEST)


class Store:
    """Redis with one slot of which nothing is folded; answers after `after_s`."""

    def __init__(self, after_s=0.0, log_id="log"):
        self.after_s = after_s
        self.asked = 0
        applied = Watermark(
            log_id=log_id, generation="g", catalogue=HASH, history="", slots=1, offsets=(-1, -1)
        )
        self.values = {watermark_key(0): encode_watermark(applied)}

    async def read(self, keys, linger_s=0.0):
        self.asked += 1
        await asyncio.sleep(self.after_s)
        return [self.values.get(key) for key in keys]


def decider_of(model, store, served=None, quota=None):
    tail = UnfoldedLog(1, 1_000)
    for n in range(5):
        tail.add(0, n, transaction(n))
        tail.advance(0, n)
    reader = FeatureReader(store, tail, make_segment(), partitions=1, slots=1, pending_wait_ms=20)
    roles = model if isinstance(model, Roles) else Roles(model)
    return Decider(
        reader, SimpleNamespace(roles=roles),
        served or SimpleNamespace(policy=POLICY, rule_failed=None), quota or LocalQuota(),
        Dependencies(Dependency("test"), Dependency("test"), PATIENCE_S),
    )  # fmt: skip


def transaction(n, amount=50_000):
    return Transaction(
        tx_id=f"t{n}", ts=T0 + n * MINUTE, card_id="c", merchant_id="m", amount_cents=amount, channel="pos"
    )


def decide(decider, via, n=9, until_s=None):
    (decision,) = asyncio.run(decider.decide([Incoming(transaction(n), 1, 0, 7)], via, until_s))
    return decision


def without_the_way(decision):
    return msgspec.structs.replace(decision, via="stream", stamps=None, staleness_ms=0.0)


def test_prefetched_state_is_not_read_again(model):
    async def scene():
        store = Store()
        decider = decider_of(model, store)
        incoming, until_s = [Incoming(transaction(9), 1, 0, 7)], time.monotonic() + 60
        ahead = decider.prefetch([transaction(9), transaction(8)])
        (found,) = await decider.decide(incoming, "http", until_s, ahead)
        assert store.asked == 1
        (now,) = await decider.decide(incoming, "http", until_s)
        assert without_the_way(found) == without_the_way(now)

    asyncio.run(scene())


@pytest.mark.parametrize("heard", [True, False])
def test_a_failed_prefetch_degrades_the_decisions_that_wait_for_it_and_no_others(model, heard):
    async def scene():
        store, strays = Store(), []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: strays.append(context))

        async def fail(*_):
            raise RedisConnectionError("gone")

        store.read = fail
        decider = decider_of(model, store)
        ahead = decider.prefetch([transaction(9)])
        if heard:
            until_s = time.monotonic() + 60
            (decision,) = await decider.decide([Incoming(transaction(9), 1, 0, 7)], "http", until_s, ahead)
            assert decision.degraded
        else:
            await asyncio.wait([ahead])
        del ahead
        gc.collect()
        await asyncio.sleep(0)
        assert strays == []
        decider._state.breaker.trip(time.monotonic())
        assert decider.prefetch([transaction(9)]) is None

    asyncio.run(scene())


@pytest.mark.parametrize("after_s", [0.0, 60.0])
def test_http_and_stream_give_the_same_decision_on_the_same_state(model, after_s):
    decider = decider_of(model, Store(after_s))
    until_s = time.monotonic() + PATIENCE_S
    by_http, by_stream = decide(decider, "http", until_s=until_s), decide(decider, "stream")
    assert (by_http.via, by_stream.via) == ("http", "stream")
    assert without_the_way(by_http) == without_the_way(by_stream)
    assert by_http.degraded == (after_s > 0)
    assert by_http.action != "approve"
    assert by_http.reasons


def test_without_state_the_fallback_decides_on_the_request_alone_and_says_so(model):
    def counted():  # whose fault it was depends on what else the machine does
        return sum(metrics.DEGRADED.labels("stream", why)._value.get() for why in ("slow", "no_time"))

    before = counted()
    decision = decide(decider_of(model, Store(60.0)), "stream")
    assert decision.degraded
    assert decision.variant == "fallback"
    assert decision.features[0] == 50_000
    by_name = dict(zip(NAMES, decision.features, strict=True))
    assert {by_name[name] for name in NAMES if name not in REQUEST_NAMES} == {None}
    assert decision.prefix == LogPrefix(slots={}, tail_from=[], tail_to=[])
    assert not decision.stale
    row = np.array([[np.nan if value is None else value for value in decision.features]], np.float32)
    assert decision.score == float(model.fallback.predict(row)[0])
    assert set(decision.reasons) <= set(REQUEST_NAMES)
    assert counted() == before + 1


def test_a_pause_of_some_tens_of_milliseconds_degrades_nothing_on_the_stream(model):
    decider = decider_of(model, Store(0.07))
    decisions = [decide(decider, "stream", n) for n in range(9, 14)]
    assert not any(decision.degraded for decision in decisions)
    assert decisions[0].features[NAMES.index("card_count_1h")] == 6


def test_http_does_not_wait_beyond_its_share_and_comes_back_by_itself(model):
    store = Store(60.0)
    decider = decider_of(model, store)
    for _ in range(50):
        assert decide(decider, "http", until_s=time.monotonic() + 0.035).degraded
    assert store.asked < 20  # the breaker opened: most did not wait at all
    store.after_s = 0.0
    asyncio.run(decider._state.probe(decider._reader.watermarks, 1.0))
    time.sleep(0.3)
    asyncio.run(decider._state.probe(decider._reader.watermarks, 1.0))
    assert not decide(decider, "http", until_s=time.monotonic() + 1).degraded


def limited(name, reviews):
    """A policy that prefers a review for everything, `reviews` a day."""
    by = ByThresholds(Thresholds(0.0, 0.0, 1.0))
    acting = {"champion": by, "fallback": by}
    return Policy(name, acting, Limits(reviews_per_day=reviews), Exploration(), ())


def test_a_batch_is_decided_by_one_policy_and_its_limits_whatever_is_exchanged_meanwhile(model):
    served = SimpleNamespace(policy=limited("old", 2), rule_failed=None)

    class Exchanging(LocalQuota):
        async def reserve(self, *which):
            served.policy = limited("new", 5)
            return await super().reserve(*which)

    decider = decider_of(model, Store(), served, Exchanging())
    batch = [Incoming(transaction(n), 1, 0, n) for n in range(9, 13)]
    before = asyncio.run(decider.decide(batch))
    assert [(d.action, d.policy_version) for d in before] == [("review", "old")] * 2 + [
        ("step_up", "old")
    ] * 2
    assert [d.held_back for d in before] == [[], [], ["reviews_per_day"], ["reviews_per_day"]]
    after = asyncio.run(decider.decide(batch))
    assert [(d.action, d.policy_version) for d in after] == [("review", "new")] * 4


def test_without_redis_nothing_limited_is_had_and_the_decision_says_so(model):
    class Gone(LocalQuota):
        async def reserve(self, *which):
            raise RedisConnectionError

    decider = decider_of(model, Store(), SimpleNamespace(policy=limited("p", 9), rule_failed=None), Gone())
    decision = decide(decider, "stream")
    assert (decision.action, decision.held_back) == ("step_up", ["limits_away"])
    assert not decision.degraded


def test_decisions_bear_the_calibrated_probability(model):
    calibration = Calibration(1.3, 0.4)
    calibrated = Model(model.ubj, model.fallback.ubj, MANIFEST)
    calibrated.manifest = msgspec.structs.replace(
        MANIFEST,
        calibration=calibration,
        fallback=msgspec.structs.replace(MANIFEST.fallback, calibration=Calibration(1.0, -0.5)),
    )
    decision = decide(decider_of(calibrated, Store()), "stream")
    assert decision.probability == calibration.probability(decision.score) != decision.score
    degraded = decide(decider_of(calibrated, Store(60.0)), "stream")
    assert degraded.probability == Calibration(1.0, -0.5).probability(degraded.score)


@pytest.mark.parametrize("after_s", [0.0, 60.0])
@pytest.mark.parametrize("via", ["stream", "http"])
def test_a_challenger_decides_for_its_cards_with_or_without_state(model, via, after_s):
    manifest = msgspec.structs.replace(
        MANIFEST, version="other", calibration=Calibration(1.0, 0.5), thresholds=Thresholds(0.7, 0.8, 0.9)
    )
    other = Model(model.fallback.ubj, model.ubj, manifest)
    roles = Roles(model, (ChallengerShare(other, 3_000, 7_000),), "salt")
    batch = [
        Incoming(msgspec.structs.replace(transaction(n), card_id=f"c{n}"), 1, 0, n) for n in range(9, 59)
    ]
    until_s = time.monotonic() + 0.2
    decisions = asyncio.run(decider_of(roles, Store(after_s)).decide(batch, via, until_s))
    assert {d.card_id for d in decisions if d.model_version == "other"} == {
        item.tx.card_id for item in batch if 3_000 <= bucket_of(item.tx.card_id, "salt") < 7_000
    }
    assert {d.model_version for d in decisions} == {MANIFEST.version, "other"}
    for item, decision in zip(batch, decisions, strict=True):
        by = other if decision.model_version == "other" else model
        row = np.array([[np.nan if v is None else v for v in decision.features]], np.float32)
        scorer, of = (by.fallback, by.manifest.fallback) if after_s else (by, by.manifest)
        assert (decision.tx_id, decision.score) == (item.tx.tx_id, float(scorer.predict(row)[0]))
        assert decision.probability == of.to_probability.probability(decision.score)
        said = "challenger" if by is other else "champion"
        assert decision.variant == ("fallback" if after_s else said)


def test_a_challenger_is_cut_by_its_own_thresholds(model):
    manifest = msgspec.structs.replace(MANIFEST, version="other", thresholds=Thresholds(1.0, 1.0, 1.0))
    acting = {"champion": ByThresholds(), "fallback": ByThresholds()}
    by_trained = SimpleNamespace(policy=Policy("p", acting, Limits(), Exploration(), ()), rule_failed=None)
    lenient = Roles(model, (ChallengerShare(Model(model.ubj, model.fallback.ubj, manifest), 0, 9_999),))
    assert decide(decider_of(model, Store(), by_trained), "http").action != "approve"
    assert decide(decider_of(lenient, Store(), by_trained), "http").action == "approve"


def test_another_log_s_state_is_no_outage(model):
    with pytest.raises(FraudsimError, match="holds the state of log other"):
        decide(decider_of(model, Store(log_id="other")), "stream")


def test_a_card_s_arm_is_logged_and_follows_from_salt_and_card_alone(model):
    other = Model(model.ubj, model.fallback.ubj, msgspec.structs.replace(MANIFEST, version="other"))
    roles = Roles(model, (ChallengerShare(other, 3_000, 7_000),), "salt")
    batch = [
        Incoming(msgspec.structs.replace(transaction(n), card_id=f"c{n}"), 1, 0, n) for n in range(9, 59)
    ]
    for after_s in (0.0, 60.0):
        decisions = asyncio.run(
            decider_of(roles, Store(after_s)).decide(batch, "http", time.monotonic() + 0.2)
        )
        for decision in decisions:
            logged = decision.assignment
            assert (logged.salt, logged.bucket) == ("salt", bucket_of(decision.card_id, "salt"))
            arm = "other" if logged.first <= logged.bucket < logged.end else MANIFEST.version
            assert arm == logged.model_version == decision.model_version
            assert (logged.arm, logged.share) == (("other", 0.4) if arm == "other" else ("", 0.6))
    assert decide(decider_of(model, Store()), "http").assignment is None


def test_a_challenger_s_score_that_is_no_number_is_the_champion_s_to_decide(model):
    class Broken(Model):
        @property
        def serving(self):
            return SimpleNamespace(predict=lambda rows: np.full(len(rows), np.nan, np.float32))

    broken = Broken(model.ubj, model.fallback.ubj, msgspec.structs.replace(MANIFEST, version="broken"))
    roles = Roles(model, (ChallengerShare(broken, 0, 9_999),), "")
    decision = decide(decider_of(roles, Store()), "http")
    assert decision.assignment.model_version == "broken"
    assert (decision.model_version, decision.variant) == (MANIFEST.version, "champion")
    assert decision.score == decide(decider_of(model, Store()), "http").score
    counted = metrics.UNUSABLE_SCORES.labels("broken")._value.get()
    assert counted == 1


def test_each_arm_has_its_part_of_the_daily_limits(model):
    other = Model(model.ubj, model.fallback.ubj, msgspec.structs.replace(MANIFEST, version="other"))
    roles = Roles(model, (ChallengerShare(other, 0, 5_000),), "salt")
    served = SimpleNamespace(policy=limited("p", 20), rule_failed=None)
    batch = [
        Incoming(msgspec.structs.replace(transaction(n), card_id=f"c{n}"), 1, 0, n) for n in range(9, 59)
    ]
    decisions = asyncio.run(decider_of(roles, Store(), served).decide(batch))
    reviews = [d.model_version for d in decisions if d.action == "review"]
    assert (reviews.count("other"), reviews.count(MANIFEST.version)) == (10, 10)


def test_propensities_of_all_four_actions_are_logged(model):
    acting = {"champion": ByThresholds(Thresholds(0.0, 0.0, 0.0)), "fallback": ByThresholds()}
    policy = Policy("p", acting, Limits(), Exploration(0.25, "s", 10**9), ())
    served = SimpleNamespace(policy=policy, rule_failed=None)
    batch = [Incoming(transaction(n), 1, 0, n) for n in range(9, 109)]
    decisions = asyncio.run(decider_of(model, Store(), served).decide(batch))
    assert {d.action for d in decisions} == {"approve", "decline"}
    assert {tuple(d.propensities) for d in decisions} == {(0.25, 0.0, 0.0, 0.75)}
