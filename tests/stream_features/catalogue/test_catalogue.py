"""The catalogue: its names, its hash, its page, and that every feature is there and null by its rule."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from producers.history.reader import read_history
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from stream_features.catalogue.features import (
    AGGREGATES,
    COUNTERPARTS,
    DAY,
    EXACT,
    FEATURES,
    HASH,
    KEY_FIELD,
    MINUTE,
    NAMES,
    TAIL_RESOLUTION,
    WINDOWED,
    Feature,
    catalogue_hash,
)
from stream_features.catalogue.page import duration, render_markdown
from stream_features.cli import app
from stream_features.kernels.state import specification
from stream_features.offline.bulk import bulk_features
from stream_features.offline.columns import codes, column

PAGE = Path(__file__).parents[3] / "docs" / "features.md"
WINDOWS = [f for f in FEATURES if f.entity != "request"]


def test_names_are_unique_and_each_feature_is_made_of_what_there_is():
    assert len(set(NAMES)) == len(NAMES)
    for f in WINDOWS:
        assert f.name.startswith(f.entity)
        assert f.aggregate in AGGREGATES
        assert f.window_ms in TAIL_RESOLUTION
        assert f.unit
        assert (f.aggregate in ("distinct", "same")) == bool(f.counterpart)
        assert not f.counterpart or f.counterpart in COUNTERPARTS[f.entity]
        assert (f.tail_ms, f.head_ms) == (
            (1, 1) if f.entity in EXACT else (TAIL_RESOLUTION[f.window_ms], 1_000)
        )


def test_another_line_is_another_hash_and_reaches_the_kernel():
    line = Feature("card_count_2d", "card", "count", 2 * DAY, unit="tx", description="Another.")
    longer = (*FEATURES, line)
    assert catalogue_hash() == HASH
    assert catalogue_hash(longer) != HASH
    spec = specification("card", longer)
    assert len(spec) == len(specification("card")) + 1
    assert spec[spec[:, 3] == len(FEATURES), 1] == [2 * DAY]
    assert (np.diff(spec[:, 1]) >= 0).all()


def test_words_about_a_feature_do_not_change_the_hash_and_its_definition_does():
    first, *rest = FEATURES
    again = Feature(**{**first.__dict__, "description": "Other words."})
    assert catalogue_hash((again, *rest)) == HASH
    longer = Feature(**{**FEATURES[-1].__dict__, "window_ms": MINUTE})
    assert catalogue_hash((*FEATURES[:-1], longer)) != HASH


def test_the_committed_page_is_that_of_the_catalogue():
    assert PAGE.read_text() == render_markdown(), (
        "run `fraudsim features catalogue --markdown docs/features.md`"
    )


def test_the_command_writes_the_page_and_prints_every_name(tmp_path):
    out = tmp_path / "features.md"
    assert CliRunner().invoke(app, ["features", "catalogue", "--markdown", str(out)]).exit_code == 0
    assert out.read_text() == render_markdown()
    printed = CliRunner().invoke(app, ["features", "catalogue"], env={"COLUMNS": "300"}).output
    assert all(name in printed for name in NAMES)
    missing = tmp_path / "no" / "features.md"
    outcome = CliRunner().invoke(app, ["features", "catalogue", "--markdown", str(missing)])
    assert "No such file" in str(outcome.exception)


@pytest.mark.parametrize(
    ("ms", "words"), [(1, "1 ms"), (1_000, "1 s"), (20 * MINUTE, "20 min"), (7 * DAY, "7 d")]
)
def test_durations_are_in_the_largest_unit_that_divides_them(ms, words):
    assert duration(ms) == words


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    write_history(folder, World(WorldConfig(cards=60, seed=3, fraud_scale=5)), 12)
    history = read_history(folder)
    transactions = history.transactions()
    return transactions, bulk_features(transactions, history.labels())


def absent(transactions, entity):
    return codes(transactions, KEY_FIELD[entity])[0] < 0


def test_every_feature_is_known_of_some_transaction(world):
    _, features = world
    assert [n for n, known in zip(NAMES, ~np.isnan(features).all(axis=0), strict=True) if not known] == []


@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.name)
def test_every_feature_is_null_by_its_rule_alone(world, feature):
    transactions, features = world
    null = np.isnan(features[:, NAMES.index(feature.name)])
    if not feature.null:
        assert not null.any()
        return
    if feature.entity == "request":
        assert feature.null.startswith("There is no ")
        return
    lacks = absent(transactions, feature.entity)
    assert null[lacks].all()
    if feature.aggregate == "same":
        np.testing.assert_array_equal(null, lacks | absent(transactions, feature.counterpart))
    elif feature.aggregate in ("since_last", "ratio_to_mean"):
        np.testing.assert_array_equal(null, lacks | first_of_key(transactions, feature))
    elif feature.aggregate == "speed":
        placeless = np.isnan(column(transactions, "lat"))
        assert null[placeless | first_of_key(transactions, feature)].all()
    else:
        np.testing.assert_array_equal(null, lacks)


def first_of_key(transactions, feature):
    """Where no transaction of the key lies before, as far as the head's resolution can tell."""
    key, _ = codes(transactions, KEY_FIELD[feature.entity])
    ts = column(transactions, "ts").astype(np.int64)
    head = ts // feature.head_ms * feature.head_ms
    first = {k: ts[key == k].min() for k in np.unique(key)}
    return np.array([first[k] >= h for k, h in zip(key, head, strict=True)])


def test_entities_are_listed_in_one_order():
    assert list(dict.fromkeys(f.entity for f in WINDOWS)) == list(WINDOWED) == list(COUNTERPARTS)
