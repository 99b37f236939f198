"""Idle keys: whoever looks later sees the same without them; a real Redis loses them and no others."""

import asyncio

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis import Redis

from fraudsim.log.clock import Clock, LoggedSegment
from stream_features.catalogue.features import DAY, EXACT, FEATURES, KEY_FIELD, LABELLED, LONGEST, WINDOWED
from stream_features.kernels import state as states
from stream_features.kernels.state import KERNELS
from stream_features.store.connection import RedisClient
from stream_features.store.idle_keys import IdleKeySweep, is_idle
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.state_store import StateStore
from testing.contracts.event_streams import (
    HORIZON,
    events_of,
    events_of_key,
    label_rows,
    labels_of,
    rows_of,
    tx,
)
from testing.samples.log import T0, make_segment

IDLE_MS = [0, DAY, LONGEST, LONGEST + HORIZON, LONGEST + HORIZON + 1, LONGEST + DAY, 300 * DAY]


def folded(entity, before, events, labels=()):
    return states.fold(entity, before, rows_of(entity, events), label_rows(labels), HORIZON)


def read(entity, state, at_hand):
    out = np.full(len(FEATURES), np.nan, np.float32)
    row = tuple(rows_of(entity, [at_hand])[0].tolist())
    complete = KERNELS[entity].read(state, row, HORIZON, out)
    return complete, out.tobytes()


@pytest.mark.parametrize("entity", WINDOWED)
def test_what_is_idle_makes_no_difference_to_later_events_and_features(entity):
    seen = {True: 0, False: 0}

    @example([tx("old", T0, 100, **{_argument(entity): "key"})], [], 300 * DAY, [], [], 0)
    @settings(deadline=None, max_examples=30)
    @given(events_of(), labels_of(), st.sampled_from(IDLE_MS), events_of(), labels_of(), st.integers(0, DAY))
    def check(events, labels, idle_ms, later, later_labels, wait_ms):
        key = getattr(events[0], KEY_FIELD[entity]) if events else None
        if key is None:
            return
        old = events_of_key(entity, events, key)
        old_labels = labels if entity in LABELLED else []
        newest = max(event.ts for event in old)
        from_ms = newest + idle_ms
        state = folded(entity, states.empty(entity), old, old_labels)
        idle = is_idle(entity, state, from_ms, HORIZON)
        seen[idle] += 1
        if entity in EXACT and len(old) < 50:
            assert idle == (newest + LONGEST + HORIZON < from_ms)
        if not idle:
            return
        shift = from_ms + wait_ms - min((event.ts for event in later), default=0)
        moved = [
            tx(f"later{n}", event.ts + shift, event.amount_cents, **{_argument(entity): key})
            for n, event in enumerate(later)
        ]
        at_hand = tx("at hand", from_ms + wait_ms, **{_argument(entity): key})
        assert read(entity, state, at_hand) == read(entity, states.empty(entity), at_hand)
        first = min((label.known_at for label in later_labels), default=0)
        late_labels = [
            msgspec.structs.replace(label, known_at=label.known_at - first + from_ms)
            for label in (later_labels if entity in LABELLED else ())
        ]
        if entity in LABELLED and not late_labels:
            return  # labels that no feature counts stay until the next one comes
        both = [
            states.canonical(
                entity, states.to_bytes(folded(entity, before, [*moved, at_hand], late_labels)), HORIZON
            )
            for before in (state, states.empty(entity))
        ]
        assert both[0] == both[1]

    check()
    assert seen[True]
    assert seen[False]


def _argument(entity):
    return {"card": "card", "device": "device", "merchant": "merchant", "ip": "ip"}[entity]


@pytest.mark.stack
def test_the_owner_of_a_slot_removes_idle_keys_and_nothing_else(stack):
    clock = Clock([LoggedSegment(make_segment(), T0)])
    margin_ms = clock.first.past_ms + 2 * clock.horizon_ms
    now_ms = T0 + 100 * DAY
    ages = {"idle": LONGEST + margin_ms + DAY, "just": LONGEST + margin_ms - 1_000, "busy": DAY}
    blobs = {}
    for slot in (911, 912):
        for entity in WINDOWED:
            for name, age_ms in ages.items():
                state = states.fold(
                    entity, states.empty(entity), rows_of(entity, [tx(name, now_ms - age_ms)]),
                    states.NO_LABELS, clock.horizon_ms,
                )  # fmt: skip
                blobs[blob_key(slot, entity, name)] = states.to_bytes(state)
    blobs[blob_key(911, "card", "odd")] = b"no state, though its first words are as long as those of one....."
    redis = Redis.from_url(stack.redis_url)
    redis.mset(blobs)
    redis.mset({watermark_key(911): b"old", fresh_key(911): now_ms, watermark_key(912): b"old"})
    redis.set(fresh_key(912), now_ms - DAY)  # folded that far only: what comes may still see the keys

    async def sweep(stored):
        client = RedisClient.with_long_timeouts(stack.redis_url)
        sweeping = IdleKeySweep(StateStore(client), clock)
        try:
            removed = await sweeping.step(lambda: stored)
            while sweeping._cursor:
                removed += await sweeping.step(lambda: stored)
            return removed
        finally:
            await client.close()

    try:
        assert asyncio.run(sweep({911: b"other", 912: b"other"})) == 0  # not the owner any more
        assert asyncio.run(sweep({911: b"old", 912: b"old"})) == len(WINDOWED)
        left = {key.decode() for key in redis.keys("{s91*}:*") if key.decode() in blobs}
        assert blobs.keys() - left == {blob_key(911, entity, "idle") for entity in WINDOWED}
    finally:
        redis.delete(*redis.keys("{s91*}:*"))
