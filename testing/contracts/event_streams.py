"""Random streams of transactions and labels, their states, and what brute force says of them."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st

from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import DAY, HOUR, KEY_FIELD, LABELLED, MINUTE, NAMES, WINDOWED
from stream_features.encode import ROW_OF, label_row
from stream_features.kernels import state
from stream_features.offline import oracle
from stream_features.vector import keys_of, vector

HORIZON = 2 * MINUTE
T0 = 1_700_000_000_000
GAPS = [
    0, 0, 1, 999, 1000, 59_999, 60_000, 60_001, 5 * MINUTE, HOUR - 1, HOUR,
    DAY, DAY + 1, 3 * DAY, 7 * DAY, 30 * DAY,
]  # fmt: skip


def tx(n, ts, amount=100, card="c", device="d", merchant="m", ip="1.2.3.4", lat=None, lon=None, **more):
    return Transaction(
        tx_id=f"t{n}", ts=ts, amount_cents=amount, card_id=card, device_id=device, merchant_id=merchant,
        ip=ip, lat=lat, lon=lon, **more,
    )  # fmt: skip


def of_key(entity, events, key):
    return [e for e in events if getattr(e, KEY_FIELD[entity]) == key]


def rows_of(entity, events):
    rows = [ROW_OF[entity](e) for e in events]
    return np.array(rows, np.int64) if rows else state.NO_ROWS[entity]


def label_rows(labels):
    return np.array([label_row(item) for item in labels], np.int64).reshape(-1, 3)


def folded(entity, events, labels=(), cuts=1, horizon=HORIZON):
    """The state of events that all bear one key, folded in `cuts` batches."""
    result = state.empty(entity)
    edges = np.linspace(0, len(events), cuts + 1).astype(int)
    label_edges = np.linspace(0, len(labels), cuts + 1).astype(int)
    for (a, b), (c, d) in zip(pairwise(edges), pairwise(label_edges), strict=True):
        before = result.tobytes()
        known = label_rows(list(labels)[c:d])
        after = state.fold(entity, result, rows_of(entity, list(events)[a:b]), known, horizon)
        assert result.tobytes() == before
        result = after
    return result


def states_of(at_hand, events, labels=(), cuts=1):
    """By entity, the state of the key that the transaction at hand bears."""
    return {
        entity: folded(entity, of_key(entity, events, key), labels if entity in LABELLED else (), cuts)
        for entity, key in keys_of(at_hand)
    }


def served(at_hand, events, labels=(), cuts=1):
    return vector(at_hand, states_of(at_hand, events, labels, cuts), HORIZON)


def expected(at_hand, events, labels=(), **bounds):
    by_entity = {entity: of_key(entity, events, key) for entity, key in keys_of(at_hand)}
    return oracle.oracle(at_hand, by_entity, labels, HORIZON, **bounds)


def assert_close(got, wanted, names=NAMES):
    for name, a, b in zip(NAMES, got, wanted, strict=True):
        if name not in names:
            continue
        if math.isnan(b):
            assert math.isnan(a), name
        else:
            assert a == pytest.approx(np.float32(b), rel=1e-6), (name, a, b)


def pool(*keys):
    return st.sampled_from([*keys, None])


@st.composite
def events_of(draw, max_size=25):
    """Transactions in order of time, most with the keys of the one at hand; some ids name two things."""
    gaps = draw(st.lists(st.sampled_from(GAPS) | st.integers(0, 40 * DAY), min_size=1, max_size=max_size))
    ts, events = T0, []
    for n, gap in enumerate(gaps):
        ts += gap
        place = (48.1, n / 7) if n % 3 else (None, None)
        events.append(
            tx(
                n, ts, draw(st.integers(0, 10**9)), draw(st.sampled_from("ccccklxy")),
                draw(pool("d", "d", "e", "a")), draw(pool("m", "m", "a", "e")),
                draw(pool("1.2.3.4", "1.2.3.4", "::1")), *place,
            )
        )  # fmt: skip
    return events


@st.composite
def labels_of(draw):
    return [
        Label(
            tx_id=f"t{draw(st.integers(0, 4))}", card_id="c", merchant_id="m", ts=T0, amount_cents=1,
            is_fraud=draw(st.booleans()), source=draw(st.sampled_from(["customer", "chargeback", "analyst"])),
            known_at=T0 + draw(st.sampled_from(GAPS) | st.integers(0, 150 * DAY)),
        )
        for _ in range(draw(st.integers(0, 12)))
    ]  # fmt: skip


@st.composite
def at_hands(draw, events, labels, back):
    """One that lies `back` behind the newest event, or on a whole second, minute or half day near it."""
    newest = max([e.ts for e in events] + [item.known_at for item in labels])
    ts = newest - back
    for step in (1000, MINUTE, 12 * HOUR):
        floored = ts // step * step
        if newest - HORIZON <= floored and draw(st.booleans()):
            ts = floored
    place = draw(st.sampled_from([(48.2, 16.4), (None, None)]))
    device, merchant, ip = draw(pool("d", "d")), draw(pool("m", "m", "m")), draw(pool("1.2.3.4", "::1"))
    return tx("at hand", ts, draw(st.integers(0, 10**6)), "c", device, merchant, ip, *place)


def with_bounds(patch, cap=64, rows=None, labels=None):
    """Kernels and brute force with other bounds than the product's."""
    patch.setattr(state, "DISTINCT_CAP", cap)
    patch.setattr(oracle, "DISTINCT_CAP", cap)
    for entity in WINDOWED:
        kernel = state.KERNELS[entity]
        if rows is not None and isinstance(kernel, state.ExactKernel):
            patch.setitem(state.KERNELS, entity, state.ExactKernel(kernel.kind, kernel.spec, rows))
        if labels is not None and isinstance(kernel, state.TiledKernel):
            patch.setitem(state.KERNELS, entity, state.TiledKernel(kernel.kind, kernel.spec, labels))
