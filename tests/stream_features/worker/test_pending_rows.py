"""A batch's rows are folded for many keys in one call as it is key by key, to the byte."""

import random

import numpy as np
import pytest

from fraudsim.log.events import Transaction
from stream_features.catalogue.features import MINUTE, WINDOWED
from stream_features.encode import ROW_OF, rows_of
from stream_features.kernels import state
from stream_features.worker.pending_rows import PendingRows

HORIZON = 2 * MINUTE


def drawn_row(draw, entity, at_ms):
    counterparts = [draw.randrange(1, 9) for _ in range(state.KERNELS[entity].width - 2)]
    return (at_ms + draw.randrange(10_000), draw.randrange(1, 500), *counterparts)


def drawn_label(draw, at_ms):
    return (draw.randrange(1, 99), at_ms + draw.randrange(10_000), draw.randrange(6))


@pytest.mark.parametrize("entity", WINDOWED)
def test_many_keys_in_one_call_are_folded_as_each_alone(entity):
    draw, pending = random.Random(3), PendingRows(entity)
    alone = {f"k{n}": state.empty(entity) for n in range(12)}
    blobs = {key: state.to_bytes(empty_state) for key, empty_state in alone.items()}
    for batch in range(30):
        rows = {key: [] for key in alone}
        labels = {key: [] for key in alone}
        for _ in range(draw.randrange(1, 60)):
            key = f"k{draw.randrange(12)}"
            rows[key].append(drawn_row(draw, entity, batch * 20_000))
            pending.add_row(key, rows[key][-1])
        if entity == "merchant":
            labels["k0"].append(drawn_label(draw, batch * 20_000))
            pending.add_label("k0", labels["k0"][-1])
        keys = list(pending.keys)
        blobs |= dict(zip(keys, pending.fold([blobs[key] for key in keys], HORIZON), strict=True))
        pending.clear()
        assert len(pending) == 0
        for key in keys:
            of_key = np.array(rows[key], np.int64) if rows[key] else state.NO_ROWS[entity]
            of_label = np.array(labels[key], np.int64) if labels[key] else state.NO_LABELS
            alone[key] = state.fold(entity, alone[key], of_key, of_label, HORIZON)
            assert blobs[key] == state.to_bytes(alone[key])


@pytest.mark.parametrize("entity", WINDOWED)
def test_a_key_without_a_state_stays_so_and_its_neighbours_are_folded(entity):
    draw, pending = random.Random(4), PendingRows(entity)
    rows = [drawn_row(draw, entity, 0) for _ in range(3)]
    for key, row in zip("abc", rows, strict=True):
        pending.add_row(key, row)
    empty = state.to_bytes(state.empty(entity))
    first, second, third = pending.fold([empty, b"", empty], HORIZON)
    assert second == b""
    for blob, row in ((first, rows[0]), (third, rows[2])):
        folded = state.fold(entity, state.empty(entity), np.array([row], np.int64), state.NO_LABELS, HORIZON)
        assert blob == state.to_bytes(folded)


def test_the_rows_of_a_transaction_are_those_of_each_entity():
    full = Transaction(
        tx_id="a", ts=5, card_id="c", amount_cents=7, device_id="d", merchant_id="m", ip="1.2.3.4", lat=1.5,
        lon=-2.25,
    )  # fmt: skip
    for tx in (full, Transaction(tx_id="b", ts=3, card_id="c", amount_cents=1)):
        assert rows_of(tx) == tuple(ROW_OF[entity](tx) for entity in WINDOWED)
