"""`features prime` and `init`: fill Redis before the first live transaction, so long windows start warm."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa
from redis import Redis
from redis.exceptions import OutOfMemoryError

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Segment
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from stream_features.catalogue.features import HASH, KEY_FIELD, LABELLED, WINDOWED
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, NO_ROWS, State
from stream_features.offline.columns import codes, column, entity_rows, label_rows
from stream_features.store import reported_labels
from stream_features.store.eviction import check_keeps_all
from stream_features.store.keys import blob_key, fresh_key, watermark_key
from stream_features.store.redis_access import open_redis
from stream_features.store.watermark import Watermark, check_watermark, decode_watermark, encode_watermark

StateTable = dict[tuple[str, str], State]
"""States by (entity, key)."""
REPLACING: Final = "fraudsim:replacing"
"""The key that one priming or rebuild holds while it replaces state."""
REPLACING_S: Final = 60
"""It expires so long after a step of a process that died."""
_RELEASE: Final = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"
_RENEW: Final = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('EXPIRE', KEYS[1], ARGV[2]) or 0"
_WRITE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[i]) end
return 1
"""
_EXPIRED: Final = (
    f"replacing the state stopped for {REPLACING_S} s, and another process may have begun: "
    "run the command again"
)
KEYS_PER_CALL: Final = 1_000
"""Keys that one round trip to Redis deletes or writes."""


def state_of_history(transactions: pa.Table, labels: pa.Table, end_ms: int, horizon_ms: int) -> StateTable:
    """Every key's state at the end of a history: its transactions and the labels known by then."""
    known_labels = labels.filter(pa.array(column(labels, "known_at") < end_ms)) if labels.num_rows else labels
    label_table = label_rows(known_labels) if known_labels.num_rows else NO_LABELS
    no_indexes = np.empty(0, np.int64)
    result: StateTable = {}
    for entity in WINDOWED:
        rows = entity_rows(transactions, entity)
        row_groups = dict(_groups(transactions, KEY_FIELD[entity]))
        label_groups = dict(_groups(known_labels, KEY_FIELD[entity])) if entity in LABELLED else {}
        for key in row_groups.keys() | label_groups.keys():
            row_indexes, label_indexes = row_groups.get(key, no_indexes), label_groups.get(key, no_indexes)
            result[entity, key] = states.fold(
                entity,
                states.empty(entity),
                rows[row_indexes] if row_indexes.size else NO_ROWS[entity],
                label_table[label_indexes] if label_indexes.size else NO_LABELS,
                horizon_ms,
            )
    return result


def _groups(table: pa.Table, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """(key, row indexes) of every distinct value of a string column."""
    indices, values = codes(table, name)
    order = np.argsort(indices, kind="stable")
    starts = np.searchsorted(indices[order], np.arange(len(values) + 1))
    for i, value in enumerate(values):
        if value is not None and starts[i + 1] > starts[i]:
            yield value, order[starts[i] : starts[i + 1]]


def check_history(fingerprint: str, segment: Segment) -> None:
    """Check that a history, "" for none, is the one that the log follows.

    Raises:
        FraudsimError: it is not; the message names both.
    """
    log_history = segment.history_fingerprint
    if fingerprint == log_history:
        return
    primed = f"history {fingerprint[:16]}" if fingerprint else "a start without history"
    follows = f"history {log_history[:16]}" if log_history else "none"
    step = "run `fraudsim features init`"
    if log_history:
        step = f"give its folder (first in {segment.history}) to `fraudsim features prime --history`"
    raise FraudsimError(
        f"{primed} does not fit log {segment.log_id}, which follows {follows}: {step}, or use another Kafka"
    )


def prime(
    settings: Settings,
    segment: Segment,
    table: StateTable,
    fingerprint: str,
    *,
    labels: pa.Table | None = None,
    force: bool = False,
) -> str:
    """Write every key's state, then each slot's watermark with nothing folded.

    Args:
        table: the state of a history.
        fingerprint: that history's; "" for a start without one.
        labels: that history's, of which the last are kept for blocks of cards.
        force: replace state of another log or history.

    Returns "primed", or "already primed" where Redis holds the state of this log and this history.

    Raises:
        FraudsimError: the log follows another history; or `force` is False, and Redis holds the state of
            another log or history, or of another number of slots or partitions; or Redis is away, or may
            evict keys.
    """
    check_history(fingerprint, segment)
    sources = 2 * settings.partitions
    with open_redis(settings) as redis:
        check_keeps_all(redis)
        stored = redis.mget([watermark_key(s) for s in range(settings.slots)])
        watermarks = {slot: decode_watermark(value) for slot, value in enumerate(stored) if value is not None}
        if watermarks and not force:
            for slot, watermark in watermarks.items():
                check_watermark(watermark, slot, segment, sources, settings.slots)
            if len(watermarks) == settings.slots:
                return "already primed"
        write_reported(redis, labels, segment)
        # The pattern covers slots beyond the present number too: state primed for more would stay for ever.
        replace_state(redis, settings, segment, table, ["{s*}:*"], range(settings.slots), (-1,) * sources)
    return "primed"


def write_reported(redis: Redis, labels: pa.Table | None, segment: Segment) -> None:
    """Write what the history's end reported; None where there is no history.

    Raises:
        FraudsimError: Redis has no memory left.
    """
    try:
        redis.set(reported_labels.KEY, reported_labels.encode_reported(labels, segment.event_epoch_ms))
    except OutOfMemoryError:
        raise _no_memory() from None


def _no_memory() -> FraudsimError:
    return FraudsimError(
        "the Redis of FRAUDSIM_REDIS_URL has no memory left for the state: raise its maxmemory, then run "
        "the command again"
    )


class _Replacing:
    """The right to replace state, which one process has at a time.

    Of two at once, one would write its watermark while the other still deletes blobs, and workers would fold
    on top of a state with parts missing.
    """

    def __init__(self, redis: Redis) -> None:
        """
        Raises:
            FraudsimError: another process has it.
        """
        self._redis = redis
        self._token = uuid.uuid4().hex
        if not redis.set(REPLACING, self._token, nx=True, ex=REPLACING_S):
            raise FraudsimError(
                "another prime, init or rebuild is replacing the state: wait for its end, or, if it died, "
                f"try again in {REPLACING_S} s"
            )

    def renew(self) -> None:
        """Keep the right for another `REPLACING_S`.

        Raises:
            FraudsimError: it had expired, and another process may have it.
        """
        if not self._redis.eval(_RENEW, 1, REPLACING, self._token, REPLACING_S):
            raise FraudsimError(_EXPIRED)

    def write(self, values: Mapping[str, bytes | int]) -> None:
        """Write keys, all or none.

        Raises:
            FraudsimError: as `renew`.
        """
        if not self._redis.eval(_WRITE, 1 + len(values), REPLACING, *values, self._token, *values.values()):
            raise FraudsimError(_EXPIRED)

    def release(self) -> None:
        self._redis.eval(_RELEASE, 1, REPLACING, self._token)


@contextmanager
def _replacing(redis: Redis) -> Iterator[_Replacing]:
    replacing = _Replacing(redis)
    try:
        yield replacing
    finally:
        replacing.release()


def replace_state(
    redis: Redis,
    settings: Settings,
    segment: Segment,
    table: StateTable,
    patterns: Iterable[str],
    slots: Iterable[int],
    offsets: tuple[int, ...],
) -> int:
    """Replace every key that matches `patterns` by the states of `table` that belong to `slots`.

    The watermarks are deleted first and written last: meanwhile workers wait, and scorers decide without
    state. Returns the number of keys written.

    Raises:
        FraudsimError: another process does the same, or Redis has no memory left.
    """
    slots = list(slots)
    slot_states = ((slot_of(*key, settings.slots), key, state) for key, state in table.items())
    items = [(slot, key, state) for slot, key, state in slot_states if slot in slots]
    watermark = Watermark(
        log_id=segment.log_id,
        generation=uuid.uuid4().hex,
        catalogue=HASH,
        history=segment.history_fingerprint,
        slots=settings.slots,
        offsets=offsets,
    )
    # Nothing is older than the log; what it holds by now is for the worker to fold, and to say so.
    fresh_at = {fresh_key(slot): segment.wall_epoch_ms for slot in slots}
    try:
        with _replacing(redis) as replacing:
            _delete(redis, replacing, patterns, slots)
            for start in range(0, len(items), KEYS_PER_CALL):
                replacing.renew()
                pipe = redis.pipeline(transaction=False)
                for slot, key, state in items[start : start + KEYS_PER_CALL]:
                    pipe.set(blob_key(slot, *key), states.to_bytes(state))
                pipe.execute()
            replacing.write(fresh_at | {watermark_key(slot): encode_watermark(watermark) for slot in slots})
    except OutOfMemoryError:
        raise _no_memory() from None
    return len(items)


def _delete(redis: Redis, replacing: _Replacing, patterns: Iterable[str], slots: Iterable[int]) -> None:
    """Delete the watermarks of slots, then every key that matches the patterns."""
    redis.delete(*[watermark_key(s) for s in slots])
    for pattern in patterns:
        stale = list(redis.scan_iter(match=pattern, count=1000))
        for start in range(0, len(stale), KEYS_PER_CALL):
            replacing.renew()
            redis.delete(*stale[start : start + KEYS_PER_CALL])
