"""One key's state in Redis and its features, for people to read."""

import time
from dataclasses import dataclass

import numpy as np

from fraudsim.errors import FraudsimError
from fraudsim.log.clock_log import SHORT_WAIT_S, open_clock
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from stream_features.catalogue.features import EXACT, FEATURES, WINDOWED, Feature
from stream_features.encode import NO_ID, NO_LOCATION
from stream_features.kernels.state import KERNELS, UnreadableStateError, empty, from_bytes
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.redis_access import open_redis
from stream_features.store.watermark import Watermark, check_watermark, decode_watermark


@dataclass(frozen=True)
class KeyInspection:
    """What Redis holds of a key. It lacks the unfolded log that scorers add to it."""

    slot: int
    watermark: Watermark
    behind_ms: float
    """Wall-clock age of the state; infinite where no worker has marked it fresh."""
    speed: float
    """Event seconds per wall second at present."""
    stored_bytes: int
    """0 where the key was never seen, or its state was removed."""
    newest_ms: int | None
    """Event time of its newest transaction."""
    contents: dict[str, int]
    """Numbers of what the state holds, by kind."""
    at_ms: int
    features: list[tuple[Feature, float]]
    """Those of a transaction at `at_ms` that has an amount and nothing else; NaN for null."""


def inspect_key(
    settings: Settings, entity: str, key: str, at_ms: int | None = None, amount_cents: int = 0
) -> KeyInspection:
    """Read one key.

    Args:
        at_ms: event time; None for the run's clock now.

    Raises:
        FraudsimError: unknown entity; no state; state of another log; or an unreadable one.
    """
    if entity not in WINDOWED:
        raise FraudsimError(f"features inspect: ENTITY {entity!r} is not one of {', '.join(WINDOWED)}")
    clock = open_clock(settings, SHORT_WAIT_S).clock
    slot = slot_of(entity, key, settings.slots)
    name = blob_key(slot, entity, key)
    with open_redis(settings) as client:
        stored, fresh_at, blob = client.mget([watermark_key(slot), fresh_key(slot), name])
    if stored is None:
        raise FraudsimError(f"slot {slot} has no state: run `fraudsim features prime`")
    watermark = decode_watermark(stored)
    check_watermark(watermark, slot, clock.first, 2 * settings.partitions, settings.slots)
    try:
        state = empty(entity) if blob is None else from_bytes(entity, blob)
    except UnreadableStateError as error:
        raise FraudsimError(
            f"{name} cannot be read ({error}): run `fraudsim features prime --force`"
        ) from None
    wall_ms = time.time() * 1000
    at_ms = clock.now_ms(wall_ms) if at_ms is None else at_ms
    kernel = KERNELS[entity]
    newest = kernel.newest(state)
    return KeyInspection(
        slot=slot,
        watermark=watermark,
        behind_ms=wall_ms - float(fresh_at) if fresh_at else float("inf"),
        speed=clock.current.speed,
        stored_bytes=len(blob or b""),
        newest_ms=newest if newest >= 0 else None,
        contents=kernel.contents(state),
        at_ms=at_ms,
        features=_features(entity, state, at_ms, amount_cents, clock.first.horizon_ms),
    )


def _features(
    entity: str, state: np.ndarray, at_ms: int, amount_cents: int, horizon_ms: int
) -> list[tuple[Feature, float]]:
    out = np.full(len(FEATURES), np.nan, np.float32)
    row: tuple[int, ...] = (at_ms, amount_cents, NO_ID)
    if entity in EXACT:
        row = (*row, NO_ID, NO_LOCATION)
    KERNELS[entity].read(state, row, horizon_ms, out)
    return [(f, float(value)) for f, value in zip(FEATURES, out, strict=True) if f.entity == entity]
