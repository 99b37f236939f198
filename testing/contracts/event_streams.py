"""Random transactions and labels of few keys, their states, and brute force over them."""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import strategies as st

from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import DAY, HOUR, KEY_FIELD, LABELLED, MINUTE, NAMES, WINDOWED
from stream_features.encode import ROW_OF, label_row
from stream_features.kernels import state
from stream_features.kernels.state import Rows, State, Vector
from stream_features.offline import oracle
from stream_features.vector import keys_of, vector

HORIZON: Final = 2 * MINUTE
T0: Final = 1_700_000_000_000
"""Time before the first event, ms."""
GAPS: Final = [
    0, 0, 1, 999, 1000, 59_999, 60_000, 60_001, 5 * MINUTE, HOUR - 1, HOUR,
    DAY, DAY + 1, 3 * DAY, 7 * DAY, 30 * DAY,
]  # fmt: skip
"""Between two events, ms: on and beside the edges of windows and tiles."""


def tx(
    number: int | str,
    ts: int,
    amount: int = 100,
    card: str = "c",
    device: str | None = "d",
    merchant: str | None = "m",
    ip: str | None = "1.2.3.4",
    **fields: Any,
) -> Transaction:
    """A transaction with the id `t` and its number; `fields` are further ones of `Transaction`."""
    return Transaction(
        tx_id=f"t{number}", ts=ts, amount_cents=amount, card_id=card, device_id=device, merchant_id=merchant,
        ip=ip, **fields,
    )  # fmt: skip


def events_of_key(entity: str, events: Iterable[Transaction], key: str) -> list[Transaction]:
    return [event for event in events if getattr(event, KEY_FIELD[entity]) == key]


def rows_of(entity: str, events: Iterable[Transaction]) -> Rows:
    """The kernel's rows of transactions, shape (n, width)."""
    rows = [ROW_OF[entity](event) for event in events]
    return np.array(rows, np.int64) if rows else state.NO_ROWS[entity]


def label_rows(labels: Iterable[Label]) -> Rows:
    """The kernel's rows of labels, shape (n, 3)."""
    return np.array([label_row(label) for label in labels], np.int64).reshape(-1, 3)


def folded_state(
    entity: str,
    events: Sequence[Transaction],
    labels: Sequence[Label] = (),
    cuts: int = 1,
    horizon: int = HORIZON,
) -> State:
    """The state of events of one key, folded in `cuts` batches; folding must not change its input."""
    result = state.empty(entity)
    event_edges = np.linspace(0, len(events), cuts + 1).astype(int)
    label_edges = np.linspace(0, len(labels), cuts + 1).astype(int)
    for (a, b), (c, d) in zip(pairwise(event_edges), pairwise(label_edges), strict=True):
        before = result.tobytes()
        batch_labels = label_rows(list(labels)[c:d])
        after = state.fold(entity, result, rows_of(entity, list(events)[a:b]), batch_labels, horizon)
        assert result.tobytes() == before
        result = after
    return result


def states_of(
    at_hand: Transaction, events: Sequence[Transaction], labels: Sequence[Label] = (), cuts: int = 1
) -> dict[str, State]:
    """By entity, the state of the key of the transaction at hand."""
    return {
        entity: folded_state(
            entity, events_of_key(entity, events, key), labels if entity in LABELLED else (), cuts
        )
        for entity, key in keys_of(at_hand)
    }


def served_vector(
    at_hand: Transaction, events: Sequence[Transaction], labels: Sequence[Label] = (), cuts: int = 1
) -> tuple[Vector, bool]:
    """The vector as it is served from states, and whether it is whole."""
    return vector(at_hand, states_of(at_hand, events, labels, cuts), HORIZON)


def oracle_vector(
    at_hand: Transaction, events: Sequence[Transaction], labels: Sequence[Label] = (), **bounds: int
) -> list[float]:
    """The vector by brute force; `bounds` are `row_bound` and `label_bound` of the oracle."""
    by_entity = {entity: events_of_key(entity, events, key) for entity, key in keys_of(at_hand)}
    return oracle.oracle(at_hand, by_entity, labels, HORIZON, **bounds)


def assert_close(actual: npt.ArrayLike, expected: Sequence[float], names: Collection[str] = NAMES) -> None:
    """Assert that a served vector equals brute force in the features of these names, to 1e-6 relative."""
    for name, value, correct in zip(NAMES, np.asarray(actual), expected, strict=True):
        if name not in names:
            continue
        if math.isnan(correct):
            assert math.isnan(value), name
        else:
            assert value == pytest.approx(np.float32(correct), rel=1e-6), (name, value, correct)


def optional_key(*keys: str) -> st.SearchStrategy[str | None]:
    """One of the keys, or none."""
    return st.sampled_from([*keys, None])


@st.composite
def events_of(draw: st.DrawFn, max_size: int = 25) -> list[Transaction]:
    """Transactions in order of time, most with the keys of the one at hand; some ids serve two entities."""
    gaps = draw(st.lists(st.sampled_from(GAPS) | st.integers(0, 40 * DAY), min_size=1, max_size=max_size))
    ts, events = T0, []
    for number, gap in enumerate(gaps):
        ts += gap
        lat, lon = (48.1, number / 7) if number % 3 else (None, None)
        events.append(
            tx(
                number, ts, draw(st.integers(0, 10**9)), draw(st.sampled_from("ccccklxy")),
                draw(optional_key("d", "d", "e", "a")), draw(optional_key("m", "m", "a", "e")),
                draw(optional_key("1.2.3.4", "1.2.3.4", "::1")), lat=lat, lon=lon,
            )
        )  # fmt: skip
    return events


@st.composite
def labels_of(draw: st.DrawFn) -> list[Label]:
    """Labels of few transactions of one merchant, contradictory ones among them."""
    return [
        Label(
            tx_id=f"t{draw(st.integers(0, 4))}", card_id="c", merchant_id="m", ts=T0, amount_cents=1,
            is_fraud=draw(st.booleans()), source=draw(st.sampled_from(["customer", "chargeback", "analyst"])),
            known_at=T0 + draw(st.sampled_from(GAPS) | st.integers(0, 150 * DAY)),
        )
        for _ in range(draw(st.integers(0, 12)))
    ]  # fmt: skip


@st.composite
def transactions_at_hand(
    draw: st.DrawFn, events: Sequence[Transaction], labels: Sequence[Label], back: int
) -> Transaction:
    """One that is `back` ms behind the newest event, or on a whole second, minute or half day near it."""
    newest = max([event.ts for event in events] + [label.known_at for label in labels])
    ts = newest - back
    for step in (1000, MINUTE, 12 * HOUR):
        floored = ts // step * step
        if newest - HORIZON <= floored and draw(st.booleans()):
            ts = floored
    lat, lon = draw(st.sampled_from([(48.2, 16.4), (None, None)]))
    device, merchant, ip = (
        draw(optional_key("d", "d")),
        draw(optional_key("m", "m", "m")),
        draw(optional_key("1.2.3.4", "::1")),
    )
    return tx("at hand", ts, draw(st.integers(0, 10**6)), "c", device, merchant, ip, lat=lat, lon=lon)


def with_bounds(
    patch: pytest.MonkeyPatch, cap: int = 64, rows: int | None = None, labels: int | None = None
) -> None:
    """Give kernels and brute force other bounds than the product's."""
    patch.setattr(state, "DISTINCT_CAP", cap)
    patch.setattr(oracle, "DISTINCT_CAP", cap)
    for entity in WINDOWED:
        kernel = state.KERNELS[entity]
        if rows is not None and isinstance(kernel, state.ExactKernel):
            patch.setitem(state.KERNELS, entity, state.ExactKernel(kernel.kind, kernel.spec, rows))
        if labels is not None and isinstance(kernel, state.TiledKernel):
            patch.setitem(state.KERNELS, entity, state.TiledKernel(kernel.kind, kernel.spec, labels))
