"""The kernels, DuckDB and brute force say the same of any log: whole numbers exactly, the rest to 1e-9."""

import ast
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_streams import HORIZON, Stream, label_table, prefixes, streams, transaction_table, with_prefixes
from streams import T0, label_rows, rows_of, tx, with_bounds

from fraudsim.errors import FraudsimError
from fraudsim.events import Label
from producers.history import read_history, write_history
from producers.world import World, WorldConfig
from stream_features import catalogue, offline, oracle, state
from stream_features.catalogue import (
    AGGREGATES,
    COUNTERPARTS,
    DAY,
    FEATURES,
    KEY_FIELD,
    LABELLED,
    LONGEST,
    MINUTE,
    NAMES,
    WINDOWED,
    places,
)
from stream_features.duckdb_engine import BLOCK, BatchEngine
from stream_features.duckdb_reading import AsOf, WithinPrefix
from stream_features.duckdb_sql import Bounds
from stream_features.encode import ROW_OF
from stream_features.vector import keys_of, request_features

DERIVED = ("mean", "std", "speed", "ratio_to_mean", "fraud_rate")
BOUNDS = [Bounds(), Bounds(), Bounds(distinct=2, rows=3, labels=2), Bounds(distinct=1, rows=1, labels=1)]


def assert_agree(one, other):
    """That two engines' float64 values, shape (n, features), are the same."""
    unlike = np.isnan(one) != np.isnan(other)
    exact = np.array([f.aggregate not in DERIVED for f in FEATURES])
    both = ~np.isnan(one) & ~np.isnan(other)
    a, b = np.where(both, one, 0), np.where(both, other, 0)
    unlike |= np.where(exact, a != b, np.abs(a - b) > 1e-9 * np.abs(b))
    assert [(NAMES[f], one[i, f], other[i, f]) for i, f in np.argwhere(unlike)] == []


def by_kernel_within(stream, its_prefixes):
    """Each transaction's features from states of what its prefix holds, as the scorer reads them."""
    out = np.full((len(its_prefixes), len(NAMES)), np.nan)
    for row, (_, at_hand), prefix in zip(out, stream.transactions, its_prefixes, strict=True):
        row[places("request")] = request_features(at_hand)
        for entity, key in keys_of(at_hand):
            events, labels = seen(stream, prefix, entity, key)
            its = state.fold(
                entity, state.empty(entity), rows_of(entity, events), label_rows(labels), HORIZON
            )
            state.KERNELS[entity].read(its, ROW_OF[entity](at_hand), HORIZON, row)
    return out


def seen(stream, prefix, entity, key):
    """What a prefix holds of a key: transactions, and labels if the entity has any."""
    field = KEY_FIELD[entity]
    events = [
        tx
        for place, tx in stream.transactions
        if getattr(tx, field) == key and prefix.holds(entity, place, tx)
    ]
    labels = [
        label
        for place, label in stream.labels
        if entity in LABELLED and getattr(label, field) == key and prefix.holds_label(entity, place)
    ]
    return events, labels


def by_brute_force(at_hand, events_and_labels, bounds):
    events = {entity: found for entity, (found, _) in events_and_labels.items()}
    labels = [label for _, found in events_and_labels.values() for label in found]
    return oracle.oracle(at_hand, events, labels, HORIZON, bounds.rows, bounds.labels)


def before(stream, at_hand, entity, key):
    """What became known of a key before the transaction at hand."""
    field = KEY_FIELD[entity]
    events = [e for _, e in stream.transactions if getattr(e, field) == key and e.ts < at_hand.ts]
    labels = [
        item
        for _, item in stream.labels
        if entity in LABELLED and getattr(item, field) == key and item.known_at < at_hand.ts
    ]
    return events, labels


def check_all_engines(found, bounds, seed):
    """Both readings of some streams by all engines."""
    transactions, labels = transaction_table(found), label_table(found)
    rng = random.Random(seed)
    chosen = [prefixes(stream, rng) for stream in found]
    with pytest.MonkeyPatch.context() as patch:
        with_bounds(patch, bounds.distinct, bounds.rows, bounds.labels)
        for name in ("DISTINCT_CAP", "ROWS", "LABELS"):
            patch.setattr(
                offline, name, getattr(bounds, {"DISTINCT_CAP": "distinct"}.get(name, name.lower()))
            )
        as_of = offline.bulk_features(transactions, labels, dtype=np.float64)
        within = np.concatenate([by_kernel_within(*pair) for pair in zip(found, chosen, strict=True)])
        brute_as_of = [
            by_brute_force(tx, {e: before(stream, tx, e, key) for e, key in keys_of(tx)}, bounds)
            for stream in found
            for _, tx in stream.transactions
        ]
        brute_within = [
            by_brute_force(tx, {e: seen(stream, prefix, e, key) for e, key in keys_of(tx)}, bounds)
            for stream, its in zip(found, chosen, strict=True)
            for (_, tx), prefix in zip(stream.transactions, its, strict=True)
        ]
    asked = with_prefixes(transactions, [prefix for its in chosen for prefix in its])
    with BatchEngine([transactions], [labels], threads=1) as engine:
        assert_agree(as_of, np.array(brute_as_of))
        assert_agree(engine.features(transactions, bounds=bounds), as_of)
        assert_agree(within, np.array(brute_within))
        assert_agree(engine.features(asked, WithinPrefix(HORIZON), bounds=bounds), within)


several = st.integers(1, 8).flatmap(lambda n: st.tuples(*(streams(str(i)) for i in range(n))))
logs = given(several, st.sampled_from(BOUNDS), st.integers(0, 2**32))
with_time = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(with_time, max_examples=6)
@logs
def test_all_engines_agree_on_any_log(found, bounds, seed):
    check_all_engines(found, bounds, seed)


@pytest.mark.long
@settings(with_time, max_examples=600)
@logs
def test_all_engines_agree_on_many_logs(found, bounds, seed):
    check_all_engines(found, bounds, seed)


SOME = np.arange(0, 2 * BLOCK + 2, 2)
"""More than one block."""
SMALL = [
    catalogue._window(entity, f"{entity}_{aggregate}_{window}_{who}", aggregate, window, "", who)
    for entity in WINDOWED
    for aggregate in AGGREGATES
    for window in (MINUTE, DAY, LONGEST)
    for who in (COUNTERPARTS[entity] if aggregate in ("distinct", "same") else ("",))
    if aggregate != "fraud_rate" or entity in LABELLED
]


HALF_A_STEP = 41.964815
"""Counted from the south pole it is rounded to one side, from the equator to the other."""


def test_a_feature_that_the_catalogue_has_not_is_one_line_more():
    # Few instants, most on whole seconds: places tie, and labels come to be known where windows end.
    rng = random.Random(2)
    events = [
        tx(
            n, T0 + rng.randrange(80) * DAY // 2 + rng.choice([0, 0, 500]), rng.randrange(10**6),
            rng.choice("ccck"), rng.choice("de"), rng.choice("mno"),
            lat=rng.choice([HALF_A_STEP, rng.uniform(-60, 60)]), lon=rng.uniform(-180, 180),
        )
        for n in range(80)
    ]  # fmt: skip
    labels = [
        Label(
            tx_id=e.tx_id, card_id=e.card_id, merchant_id=e.merchant_id, ts=e.ts, amount_cents=1,
            is_fraud=rng.random() < 0.7, source="customer", known_at=rng.choice(events).ts // 1_000 * 1_000,
        )
        for e in rng.sample(events, 50)
    ]  # fmt: skip
    stream = Stream([(None, e) for e in events], [(None, item) for item in labels])
    table = transaction_table([stream])
    with BatchEngine([table], [label_table([stream])], threads=1) as engine:
        got = engine.features(table, features=SMALL)
    for row, at_hand in zip(got, events, strict=True):
        for value, feature in zip(row, SMALL, strict=True):
            known = before(stream, at_hand, feature.entity, getattr(at_hand, KEY_FIELD[feature.entity]))
            wanted = oracle.value_of(feature, at_hand, *known)
            assert value == pytest.approx(wanted, rel=1e-9, nan_ok=True), (feature.name, at_hand.tx_id)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    write_history(folder, World(WorldConfig(cards=40, seed=11, fraud_scale=10)), 40)
    return folder


@pytest.mark.parametrize("lag_ms", [0, DAY])
def test_a_world_s_history_gives_the_same_features_from_parquet_as_from_the_kernel(history, lag_ms):
    read = read_history(history)
    transactions, labels = read.transactions(), read.labels()
    with BatchEngine([history / "transactions.parquet"], [history / "labels.parquet"]) as engine:
        got = engine.features(transactions.take(SOME), AsOf(lag_ms))
    assert_agree(got, offline.bulk_features(transactions, labels, lag_ms, np.float64)[SOME])
    assert len(np.unique(got[:, NAMES.index("merchant_fraud_30d")])) > 20


def test_a_source_that_cannot_be_read_is_named_with_what_to_do(tmp_path):
    with pytest.raises(
        FraudsimError, match=r"transactions: .*none\.parquet cannot be read .*give a Parquet file"
    ):
        BatchEngine([tmp_path / "none.parquet"])
    with pytest.raises(FraudsimError, match="labels: the Arrow table has no column known_at"):
        BatchEngine([], [label_table([Stream()]).drop_columns("known_at")])


def test_duckdb_shares_the_catalogue_with_the_kernels_and_no_code():
    ours = {"catalogue", "encode", "duckdb_reading", "duckdb_sql", "duckdb_engine"}
    for path in Path(catalogue.__file__).parent.glob("duckdb_*.py"):
        named = {
            node.module.removeprefix("stream_features.")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module.startswith("stream_features")
        }
        assert named <= ours, path
