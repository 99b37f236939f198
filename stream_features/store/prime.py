"""Filling Redis from a history before the first live transaction, so that long windows are not cold."""

import time
import uuid
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from redis import Redis

from fraudsim.errors import FraudsimError
from fraudsim.log.events import Segment
from fraudsim.log.partitioning import slot_of
from fraudsim.settings import Settings
from stream_features.catalogue.features import HASH, KEY_FIELD, LABELLED, WINDOWED
from stream_features.kernels import state as states
from stream_features.kernels.state import NO_LABELS, NO_ROWS, State
from stream_features.offline.columns import codes, column, entity_rows, label_rows
from stream_features.store.state_store import blob_key, fresh_key, watermark_key
from stream_features.store.watermark import Watermark, check_watermark, decode_watermark, encode_watermark

Table = dict[tuple[str, str], State]


def state_of_history(transactions: pa.Table, labels: pa.Table, end_ms: int, horizon_ms: int) -> Table:
    """Every key's state at the end of a history: its transactions and the labels known by then."""
    known = labels.filter(pa.array(column(labels, "known_at") < end_ms)) if labels.num_rows else labels
    of_label = label_rows(known) if known.num_rows else NO_LABELS
    nothing = np.empty(0, np.int64)
    result: Table = {}
    for entity in WINDOWED:
        rows = entity_rows(transactions, entity)
        at_of = dict(_groups(transactions, KEY_FIELD[entity]))
        label_at_of = dict(_groups(known, KEY_FIELD[entity])) if entity in LABELLED else {}
        for key in at_of.keys() | label_at_of.keys():
            at, label_at = at_of.get(key, nothing), label_at_of.get(key, nothing)
            result[entity, key] = states.fold(
                entity,
                states.empty(entity),
                rows[at] if at.size else NO_ROWS[entity],
                of_label[label_at] if label_at.size else NO_LABELS,
                horizon_ms,
            )
    return result


def _groups(table: pa.Table, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """(key, row numbers) of every distinct value of a string column."""
    indices, values = codes(table, name)
    order = np.argsort(indices, kind="stable")
    starts = np.searchsorted(indices[order], np.arange(len(values) + 1))
    for i, value in enumerate(values):
        if value is not None and starts[i + 1] > starts[i]:
            yield value, order[starts[i] : starts[i + 1]]


def check_history(fingerprint: str, segment: Segment) -> None:
    """That a history, "" for none, is the one that the log was started after.

    Raises:
        FraudsimError: it is not; the message names both.
    """
    named = segment.history_fingerprint
    if fingerprint == named:
        return
    given = f"history {fingerprint[:16]}" if fingerprint else "a start without history"
    follows = f"history {named[:16]}" if named else "none"
    step = "run `fraudsim features init`"
    if named:
        step = f"give its folder (first in {segment.history}) to `fraudsim features prime --history`"
    raise FraudsimError(
        f"{given} does not fit log {segment.log_id}, which follows {follows}: {step}, or use another Kafka"
    )


def prime(
    settings: Settings, segment: Segment, table: Table, fingerprint: str, *, force: bool = False
) -> str:
    """Write every key's state, then each slot's `applied` with nothing folded.

    `fingerprint` is that of the history which `table` is the state of, "" for a start without one.
    Returns "primed", or "already primed" where Redis holds this log's and this history's state.

    Raises:
        FraudsimError: the log follows another history; or Redis holds another log's or history's state, or
            one for another number of slots or partitions, and `force` is not given.
    """
    check_history(fingerprint, segment)
    redis = Redis.from_url(settings.redis_url)
    sources = 2 * settings.partitions
    stored = redis.mget([watermark_key(s) for s in range(settings.slots)])
    present = [(slot, decode_watermark(value)) for slot, value in enumerate(stored) if value is not None]
    if present and not force:
        for slot, applied in present:
            check_watermark(applied, slot, segment, sources, settings.slots)
        if len(present) == settings.slots:
            return "already primed"
    # Also the slots beyond today's number: state primed for more of them would stay for ever.
    replace_state(redis, settings, segment, table, ["{s*}:*"], range(settings.slots), (-1,) * sources)
    return "primed"


def replace_state(
    redis: Redis,
    settings: Settings,
    segment: Segment,
    table: Table,
    patterns: Iterable[str],
    slots: Iterable[int],
    offsets: tuple[int, ...],
) -> int:
    """Put the states of `table` that belong to `slots` in the place of every key that fits `patterns`.

    The fences go first and come last: meanwhile workers wait, and scorers decide without state.
    Returns how many keys were written.
    """
    slots = list(slots)
    redis.delete(*[watermark_key(s) for s in slots])
    for pattern in patterns:
        stale = list(redis.scan_iter(match=pattern, count=1000))
        for start in range(0, len(stale), 1_000):
            redis.delete(*stale[start : start + 1_000])
    placed = ((slot_of(*key, settings.slots), key, state) for key, state in table.items())
    items = [(slot, key, state) for slot, key, state in placed if slot in slots]
    for start in range(0, len(items), 1_000):
        pipe = redis.pipeline(transaction=False)
        for slot, key, state in items[start : start + 1_000]:
            pipe.set(blob_key(slot, *key), states.to_bytes(state))
        pipe.execute()
    applied = Watermark(
        log_id=segment.log_id,
        generation=uuid.uuid4().hex,
        catalogue=HASH,
        history=segment.history_fingerprint,
        slots=settings.slots,
        offsets=offsets,
    )
    pipe = redis.pipeline(transaction=False)
    for slot in slots:
        pipe.set(fresh_key(slot), int(time.time() * 1000))
        pipe.set(watermark_key(slot), encode_watermark(applied))
    pipe.execute()
    return len(items)
