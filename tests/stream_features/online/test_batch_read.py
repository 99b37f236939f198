"""Many transactions read in one call: the same features as each read by itself from whole states."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_features.catalogue.features import DAY, LABELLED, NAMES, WINDOWED, feature_indexes
from stream_features.encode import ROW_OF
from stream_features.kernels import state
from stream_features.kernels.state import KIND
from stream_features.online.batch_read import features_of
from stream_features.vector import keys_of, vector
from testing.contracts.event_streams import (
    HORIZON,
    T0,
    events_of,
    events_of_key,
    folded_state,
    label_rows,
    labels_of,
    rows_of,
    tx,
)


def read(queries, blobs, rows=None):
    keys = [keys_of(at_hand) for at_hand in queries]
    return features_of(queries, keys, blobs, lambda key: (rows or {}).get(key, []), HORIZON)


@st.composite
def batches(draw, events):
    """Some of the stream's own transactions, some later, some with keys of their own, some twice."""
    transactions = draw(st.lists(st.sampled_from(events), max_size=4))
    newest = events[-1].ts
    for n in range(draw(st.integers(1, 4))):
        ts = newest + draw(st.integers(-HORIZON - 5, 2 * DAY))
        card, merchant = draw(st.sampled_from(["c", "k", "new"])), draw(st.sampled_from(["m", "a", None]))
        transactions.append(tx(f"at hand {n}", ts, 7, card, draw(st.sampled_from(["d", None])), merchant))
    return transactions


@settings(deadline=None)
@given(st.data())
def test_a_batch_reads_what_each_transaction_would_by_itself(data):
    events, labels = data.draw(events_of()), data.draw(labels_of())
    queries = data.draw(batches(events))
    cut = data.draw(st.integers(0, len(events)))
    blobs, rows, whole_states = {}, {}, {}
    for key in {key for at_hand in queries for key in keys_of(at_hand)}:
        entity, name = key
        key_labels = labels if entity in LABELLED else ()
        stored = events_of_key(entity, events[:cut], name)
        unfolded = events_of_key(entity, events[cut:], name)
        rows[key] = [ROW_OF[entity](event) for event in unfolded]
        stored_state = folded_state(entity, stored, key_labels)
        blobs[key] = state.to_bytes(stored_state) if stored or len(key_labels) else None
        whole_states[key] = state.fold(
            entity, stored_state, rows_of(entity, unfolded), label_rows([]), HORIZON
        )
    vectors, whole_flags = read(queries, blobs, rows)
    for at_hand, features, is_whole in zip(queries, vectors, whole_flags, strict=True):
        by_entity = {key[0]: whole_states[key] for key in keys_of(at_hand)}
        expected, expected_whole = vector(at_hand, by_entity, HORIZON)
        np.testing.assert_array_equal(features, expected)
        assert is_whole == expected_whole


@pytest.mark.parametrize("broken", WINDOWED)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: b"",
        lambda blob: blob[:-8],
        lambda blob: blob[:-1],
        lambda blob: blob + bytes(8),
        lambda blob: blob[:8],
        lambda blob: bytes(8) + blob[8:],
    ],
    ids=["empty", "a word short", "a byte short", "a word long", "the kind alone", "another kind"],
)
def test_a_blob_that_cannot_be_read_is_null_and_spoils_no_other(broken, spoil):
    events = [tx(n, T0 + 1_000 * n) for n in range(3)]
    at_hand, beside = tx("a", T0 + 9_000), tx("b", T0 + 9_000, card="k", device="e", merchant="a", ip="::1")
    blobs = dict.fromkeys([*keys_of(at_hand), *keys_of(beside)])
    for entity, key in keys_of(at_hand):
        blobs[entity, key] = state.to_bytes(folded_state(entity, events))
        if entity == broken:
            blobs[entity, key] = spoil(blobs[entity, key])
    rows = {key: [ROW_OF[key[0]](events[-1])] for key in keys_of(at_hand)}
    vectors, whole_flags = read([at_hand, beside], blobs, rows)
    assert whole_flags.tolist() == [False, True]
    assert np.isnan(vectors[0, feature_indexes(broken)]).all()
    for entity in set(WINDOWED) - {broken}:
        assert vectors[0, NAMES.index(f"{entity}_count_1h")] == 5
    assert vectors[1, NAMES.index(f"{broken}_count_1h")] == 1


def test_a_huge_count_in_a_header_reads_nothing_beyond_the_blob():
    at_hand = tx("a", T0)
    blobs = {}
    for entity, key in keys_of(at_hand):
        blobs[entity, key] = np.array([KIND[entity], *[2**60] * 9], np.int64).tobytes()
    vectors, whole_flags = read([at_hand], blobs)
    assert not whole_flags[0]
    assert np.isnan(vectors[0, [index for entity in WINDOWED for index in feature_indexes(entity)]]).all()
