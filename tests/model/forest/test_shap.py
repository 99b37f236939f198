"""Contributions are the Shapley values of the definition, and XGBoost's within its float32."""

import itertools
import math

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artefact import first_stage
from model.artefact.files import load_model
from model.artefact.first_stage import FirstStage, compile_first_stage
from model.artefact.model import Model
from model.forest import forest
from model.forest import shap as tree_shap
from model.forest.shap import TreeExplainer, compile_tree_explainer, splits_of
from model.forest.trees import UnsupportedTreesError, dump_trees

FLOAT32 = 1e-5
"""XGBoost adds thousands of float32 products up, each within 6e-8 of its size: some 100 of those."""
FLOAT64 = 1e-12


def fitted(features=4, depth=4, rounds=5, missing=0.2, seed=0, **options):
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 10, (400, features)).astype(np.float32)
    rows[:, 0] = rng.integers(0, 4, len(rows))
    rows[rng.random(rows.shape) < missing] = np.nan
    odds = np.nan_to_num(rows[:, 0]) - 2 + np.nan_to_num(rows[:, -1] * rows[:, 0]) / 10
    flags = rng.random(len(rows)) < 1 / (1 + np.exp(-odds))
    parameters = {"objective": "binary:logistic", "max_depth": depth, "nthread": 1, "max_bin": 32, **options}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, label=flags, nthread=1), rounds)
    return booster, rows[:12]


def contributions(booster, rows):
    """(n, features), and the bias."""
    shap = TreeExplainer(splits_of(booster))
    return np.stack([shap.contributions(row) for row in rows]), shap.bias


@settings(max_examples=30, deadline=None)
@given(
    features=st.integers(1, 9),
    depth=st.integers(1, 10),
    rounds=st.integers(1, 12),
    missing=st.sampled_from([0.0, 0.2, 0.7]),
    seed=st.integers(0, 1000),
    base_score=st.sampled_from([0.01, 0.5, 0.9]),
    grow=st.sampled_from([{}, {"grow_policy": "lossguide", "max_leaves": 7}, {"min_child_weight": 0.01}]),
)
def test_contributions_are_xgboosts(features, depth, rounds, missing, seed, base_score, grow):
    booster, rows = fitted(features, depth, rounds, missing, seed, base_score=base_score, **grow)
    computed, bias = contributions(booster, rows)
    expected = booster.predict(xgboost.DMatrix(rows, nthread=1), pred_contribs=True)
    size = 1 + np.abs(expected).sum(axis=1, keepdims=True)
    assert (np.abs(computed - expected[:, :-1]) <= FLOAT32 * size).all()
    assert bias == pytest.approx(expected[0, -1], abs=FLOAT32 * float(size.max()))
    assert computed.sum(axis=1) + bias == pytest.approx(margins(booster, rows), rel=FLOAT64, abs=FLOAT64)


def margins(booster, rows):
    """In float64, from the leaves that XGBoost itself finds."""
    dump = dump_trees(booster)
    leaves = booster.predict(xgboost.DMatrix(rows, nthread=1), pred_leaf=True).reshape(len(rows), -1)
    leaf = [np.float32(tree["split_conditions"]).astype(np.float64) for tree in dump.trees]
    return float(dump.base) + np.array(
        [sum(leaf[t][int(node)] for t, node in enumerate(row)) for row in leaves]
    )


def expectation(tree, row, known, node=0):
    """The tree's value where only some features are known: algorithm 1 of Lundberg et al."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        return float(np.float32(tree["split_conditions"][node]))
    feature = tree["split_indices"][node]
    if feature in known:
        value = row[feature]
        goes_left = tree["default_left"][node] if np.isnan(value) else value < tree["split_conditions"][node]
        return expectation(tree, row, known, left if goes_left else right)
    cover = tree["sum_hessian"]
    parts = [expectation(tree, row, known, child) * cover[child] for child in (left, right)]
    return sum(parts) / (cover[left] + cover[right])


def by_definition(trees, row, feature):
    """The mean of what a feature adds, over all orders in which features become known."""
    others = [other for other in range(len(row)) if other != feature]
    total = 0.0
    for size in range(len(row)):
        for known in itertools.combinations(others, size):
            weight = math.factorial(size) * math.factorial(len(row) - size - 1) / math.factorial(len(row))
            for tree in trees:
                marginal = expectation(tree, row, {*known, feature}) - expectation(tree, row, known)
                total += weight * marginal
    return total


@pytest.mark.parametrize("depth", [1, 5, 8])
def test_contributions_are_what_the_definition_says_to_the_last_digits(depth):
    booster, rows = fitted(features=4, depth=depth, rounds=2, min_child_weight=0.5)
    trees = dump_trees(booster).trees
    computed, _ = contributions(booster, rows[:3])
    for row, parts in zip(rows, computed, strict=False):
        expected = [by_definition(trees, row, feature) for feature in range(4)]
        assert parts == pytest.approx(expected, rel=1e-10, abs=1e-12)
        assert max(np.abs(expected)) > 0.01


def test_trees_that_are_one_leaf_move_nothing():
    booster, rows = fitted(rounds=3, min_child_weight=1e9)
    computed, bias = contributions(booster, rows)
    assert not computed.any()
    assert bias == pytest.approx(margins(booster, rows)[0], rel=FLOAT64)


def test_a_node_that_no_row_reached_is_refused(monkeypatch):
    booster, _ = fitted()
    dump = dump_trees(booster)
    dump.trees[0]["sum_hessian"][1] = 0.0
    monkeypatch.setattr("model.forest.shap.dump_trees", lambda _: dump)
    with pytest.raises(UnsupportedTreesError, match="no training row"):
        splits_of(booster)


def test_what_is_not_compiled_is_explained_by_xgboost_alike(model, monkeypatch):
    def refuse(_):
        raise UnsupportedTreesError("dart")

    monkeypatch.setattr(forest, "splits_of", refuse)
    slow = Model(model.ubj, model.fallback.ubj, model.manifest)
    assert slow.not_explained == "dart"
    assert slow.not_compiled is None
    assert model.not_explained is None
    rows = np.array(model.manifest.sample.rows, dtype=np.float32)
    for row in rows:
        assert slow.contributions(row) == pytest.approx(model.contributions(row), abs=1e-4)
    assert slow.reasons(rows[-1]) == model.reasons(rows[-1])


def test_contributions_that_do_not_add_up_are_given_up_on_load(trained, monkeypatch):
    explained = TreeExplainer.contributions
    monkeypatch.setattr(TreeExplainer, "contributions", lambda self, row: explained(self, row) + 0.01)
    loaded = load_model(trained)
    assert "add up" in loaded.not_explained
    row = np.array(loaded.manifest.sample.rows[-1], dtype=np.float32)
    data = xgboost.DMatrix(row.reshape(1, -1), nthread=1)
    expected = loaded._booster.predict(data, pred_contribs=True)[0, :-1]
    assert np.array_equal(loaded.contributions(row), expected.astype(np.float64))


def test_what_is_compiled_ahead_is_what_the_scorer_calls():
    compile_tree_explainer()
    compile_first_stage()
    booster, rows = fitted(features=3)
    contributions(booster, rows)
    FirstStage.of([0.1] * 3, [0.0] * 3, -1).scores(rows)
    for compiled in (tree_shap._contributions, first_stage._scores):
        assert len(compiled.signatures) == 1
