"""The contract of an aggregate: checks that every `stream_features.kernels.state.Kernel` must pass.

They run on any implementation, the shipped ones or your own. The brute-force oracle, which shares no code
with the kernels, gives the expected features.

Example, in a test:

    from stream_features.catalogue.features import FEATURES
    from testing.contracts.aggregate import check_kernel

    def test_my_kernel_keeps_the_contract():
        check_kernel("card", MyKernel(), names={f.name for f in FEATURES if f.entity == "card"})

`check_kernel` draws random events and labels and runs every other check on them. The single checks serve to
narrow a failure down: each takes the events and labels of one key.
"""

import math
import random
from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudsim.log.events import Label, Transaction
from stream_features.catalogue.features import FEATURES, KEY_FIELD, LABELLED, NAMES
from stream_features.encode import ROW_OF
from stream_features.kernels.state import Kernel, KeyedRows, PackedStates, State, Vector
from stream_features.offline.oracle import oracle
from testing.contracts.event_streams import (
    HORIZON,
    events_of,
    events_of_key,
    label_rows,
    labels_of,
    transactions_at_hand,
    tx,
)

RELATIVE_ERROR = 1e-6
"""A feature is a float32; a count, sum or distinct is exact within it."""


def check_kernel(
    entity: str, kernel: Kernel, *, names: Collection[str] | None = None, examples: int = 100
) -> None:
    """Run every check of this module on random events and labels of one key.

    Args:
        entity: the entity whose rows the kernel folds; one of the catalogue's `WINDOWED`.
        names: the features that the kernel writes; by default all of the entity's.
        examples: number of random streams.

    Raises:
        AssertionError: the kernel breaks the contract; the message names the rule, the falsifying stream is
            printed as a note.
    """

    @settings(deadline=None, max_examples=examples)
    @given(st.data(), events_of(), labels_of(), st.integers(0, HORIZON), st.integers(1, 4), st.randoms())
    def check(
        data: st.DataObject,
        events: list[Transaction],
        labels: list[Label],
        age_ms: int,
        batches: int,
        rng: random.Random,
    ) -> None:
        at_hand = data.draw(transactions_at_hand(events, labels, age_ms))
        key = getattr(at_hand, KEY_FIELD[entity])
        if key is None:
            return
        key_events = events_of_key(entity, events, key)
        key_labels = labels if entity in LABELLED else []
        check_old_state_is_kept(entity, kernel, key_events, key_labels)
        check_arrival_order(entity, kernel, key_events, key_labels, rng)
        check_batch_cuts(entity, kernel, key_events, key_labels, batches)
        check_canonical_form(entity, kernel, key_events, key_labels)
        check_features(entity, kernel, at_hand, key_events, key_labels, names)
        check_horizon(entity, kernel, key_events, key_labels, names)
        check_many_keys(entity, kernel, key_events, key_labels)

    check()


def fold_in_batches(
    entity: str, kernel: Kernel, events: Sequence[Transaction], labels: Sequence[Label] = (), batches: int = 1
) -> State:
    """The state of events and labels of one key, folded in the given order, in so many batches."""
    state = kernel.empty()
    event_cuts = np.linspace(0, len(events), batches + 1).astype(int)
    label_cuts = np.linspace(0, len(labels), batches + 1).astype(int)
    for (begin, end), (label_begin, label_end) in zip(
        pairwise(event_cuts), pairwise(label_cuts), strict=True
    ):
        rows = _rows(entity, kernel, events[begin:end])
        state = kernel.fold(state, rows, label_rows(labels[label_begin:label_end]), HORIZON)
    return state


def check_old_state_is_kept(
    entity: str, kernel: Kernel, events: Sequence[Transaction], labels: Sequence[Label]
) -> None:
    """`fold` returns a new state and leaves its argument unchanged."""
    half = len(events) // 2
    old = fold_in_batches(entity, kernel, events[:half], labels)
    old_bytes = old.tobytes()
    kernel.fold(old, _rows(entity, kernel, events[half:]), label_rows(()), HORIZON)
    assert old.tobytes() == old_bytes, f"{entity}: fold has changed the old state"


def check_arrival_order(
    entity: str,
    kernel: Kernel,
    events: Sequence[Transaction],
    labels: Sequence[Label],
    rng: random.Random,
) -> None:
    """The bytes of a state depend on the set of events and labels, not on their order of arrival."""
    in_order = fold_in_batches(entity, kernel, events, labels)
    shuffled_events, shuffled_labels = list(events), list(labels)
    rng.shuffle(shuffled_events)
    rng.shuffle(shuffled_labels)
    shuffled = fold_in_batches(entity, kernel, shuffled_events, shuffled_labels, 3)
    assert shuffled.tobytes() == in_order.tobytes(), (
        f"{entity}: the state depends on the order of arrival: {shuffled} is not {in_order}"
    )


def check_batch_cuts(
    entity: str, kernel: Kernel, events: Sequence[Transaction], labels: Sequence[Label], batches: int
) -> None:
    """The bytes of a state do not depend on how the log was cut into batches."""
    at_once = fold_in_batches(entity, kernel, events, labels)
    in_batches = fold_in_batches(entity, kernel, events, labels, batches)
    assert in_batches.tobytes() == at_once.tobytes(), (
        f"{entity}: {batches} batches give another state than one: {in_batches} is not {at_once}"
    )


def check_canonical_form(
    entity: str, kernel: Kernel, events: Sequence[Transaction], labels: Sequence[Label]
) -> None:
    """A state tells its size and newest transaction; a fold of nothing leaves its bytes as they are."""
    state = fold_in_batches(entity, kernel, events, labels)
    assert kernel.words(state) == state.size, (
        f"{entity}: the header says {kernel.words(state)} words, the state has {state.size}"
    )
    newest = max((event.ts for event in events), default=-1)
    assert kernel.newest(state) == newest, f"{entity}: newest is {kernel.newest(state)}, not {newest}"
    refolded = kernel.fold(state, _rows(entity, kernel, ()), label_rows(()), HORIZON)
    assert refolded.tobytes() == state.tobytes(), (
        f"{entity}: the state is not canonical: folding nothing makes {refolded} of {state}"
    )


def check_features(
    entity: str,
    kernel: Kernel,
    at_hand: Transaction,
    events: Sequence[Transaction],
    labels: Sequence[Label],
    names: Collection[str] | None = None,
) -> None:
    """The features of the transaction at hand, folded already or not, are those of the brute-force oracle."""
    oracle_vector = oracle(at_hand, {entity: events}, labels, HORIZON)
    for folded_events in (events, [*events, at_hand]):
        state = fold_in_batches(entity, kernel, folded_events, labels)
        vector, is_complete = _read(entity, kernel, state, at_hand)
        newest_ms = max([e.ts for e in folded_events] + [label.known_at for label in labels], default=0)
        assert is_complete or at_hand.ts < newest_ms - HORIZON, (
            f"{entity}: read says that ts {at_hand.ts} lies beyond the horizon of {newest_ms}"
        )
        for name in _names(entity, names):
            got, expected = vector[NAMES.index(name)], np.float32(oracle_vector[NAMES.index(name)])
            assert _is_equal(got, expected), f"{name} is {got}, brute force says {expected}"


def check_horizon(
    entity: str,
    kernel: Kernel,
    events: Sequence[Transaction],
    labels: Sequence[Label],
    names: Collection[str] | None = None,
) -> None:
    """A read at the horizon is complete; one millisecond before it, every feature is null and flagged."""
    if not events:
        return
    newest_ms = max([event.ts for event in events] + [label.known_at for label in labels])
    state = fold_in_batches(entity, kernel, events, labels)
    _, is_complete = _read(entity, kernel, state, tx("horizon", newest_ms - HORIZON))
    assert is_complete, f"{entity}: a read exactly at the horizon is flagged as beyond it"
    vector, is_complete = _read(entity, kernel, state, tx("beyond", newest_ms - HORIZON - 1))
    assert not is_complete, f"{entity}: a read beyond the horizon is not flagged"
    values = {name: vector[NAMES.index(name)] for name in _names(entity, names)}
    non_null = {name: value for name, value in values.items() if not math.isnan(value)}
    assert not non_null, f"{entity}: beyond the horizon these features are not null: {non_null}"


def check_many_keys(
    entity: str, kernel: Kernel, events: Sequence[Transaction], labels: Sequence[Label]
) -> None:
    """`fold_many` and `read_many` agree with `fold` and `read`, and an empty state stays empty.

    The events serve as those of two keys, between which stands a key whose state cannot be read.
    """
    half, third = len(events) // 2, len(events) // 3
    old = [fold_in_batches(entity, kernel, events[:n]) for n in (half, third)]
    new = [events[half:], events[third:]]
    nothing = np.empty(0, np.int64)
    stored = _packed([old[0], nothing, old[1]])
    rows = [_rows(entity, kernel, new[0]), _rows(entity, kernel, events), _rows(entity, kernel, new[1])]
    grouped_rows = KeyedRows(np.concatenate(rows), np.array([len(group) for group in rows], np.int64))
    label_table = label_rows(labels)
    grouped_labels = KeyedRows(np.concatenate([label_table] * 3), np.array([len(label_table)] * 3, np.int64))

    folded_state = kernel.fold_many(stored, grouped_rows, grouped_labels, HORIZON)
    expected = [
        kernel.fold(state, group, label_table, HORIZON) for state, group in zip(old, rows[::2], strict=True)
    ]
    assert folded_state.sizes.tolist() == [expected[0].size, 0, expected[1].size], (
        f"{entity}: fold_many gives sizes {folded_state.sizes}, "
        f"fold gives {[state.size for state in expected]}"
    )
    assert folded_state.words.tobytes() == np.concatenate(expected).tobytes(), (
        f"{entity}: fold_many gives another state than fold"
    )

    requests = [
        (number, index, *ROW_OF[entity](event))
        for index, (number, event) in enumerate((n, e) for n in range(3) for e in events)
    ]
    vectors = np.full((len(requests), len(FEATURES)), np.nan, np.float32)
    complete = np.ones(len(requests), np.bool_)
    request_table = np.array(requests, np.int64).reshape(-1, 2 + kernel.width)
    kernel.read_many(stored, grouped_rows, request_table, HORIZON, vectors, complete)
    no_labels = label_rows(())
    states = [
        kernel.fold(state, group, no_labels, HORIZON) for state, group in zip(old, rows[::2], strict=True)
    ]
    for number, index, *row in requests:
        single, is_complete = np.full(len(FEATURES), np.nan, np.float32), False
        if number != 1:
            is_complete = kernel.read(states[number // 2], tuple(row), HORIZON, single)
        assert bool(complete[index]) == is_complete, (
            f"{entity}: at ts {row[0]} of key {number} read_many flags {bool(complete[index])}, "
            f"read flags {is_complete}"
        )
        assert vectors[index].tobytes() == single.tobytes(), (
            f"{entity}: read_many gives key {number} at ts {row[0]} other features than read"
        )


def _rows(entity: str, kernel: Kernel, events: Sequence[Transaction]) -> npt.NDArray[np.int64]:
    return np.array([ROW_OF[entity](event) for event in events], np.int64).reshape(-1, kernel.width)


def _packed(states: Sequence[State]) -> PackedStates:
    return PackedStates(np.concatenate(states), np.array([state.size for state in states], np.int64))


def _read(entity: str, kernel: Kernel, state: State, at_hand: Transaction) -> tuple[Vector, bool]:
    vector = np.full(len(FEATURES), np.nan, np.float32)
    return vector, kernel.read(state, ROW_OF[entity](at_hand), HORIZON, vector)


def _names(entity: str, names: Collection[str] | None) -> Collection[str]:
    return [feature.name for feature in FEATURES if feature.entity == entity] if names is None else names


def _is_equal(got: np.float32, expected: np.float32) -> bool:
    if math.isnan(expected):
        return math.isnan(got)
    return bool(abs(got - expected) <= RELATIVE_ERROR * abs(expected))
