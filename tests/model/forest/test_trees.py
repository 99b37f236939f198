import numpy as np
import pytest
import xgboost

from model.artefact.files import load_model
from model.artefact.model import Model
from model.forest import forest
from model.forest.forest import booster_of
from model.forest.trees import MAX_DEPTH, TreePredictor, UnsupportedTreesError, pad_trees

FEATURES = 7


def data(rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, 100, (rows, FEATURES)).astype(np.float32)
    matrix[:, 0] = rng.integers(0, 4, rows)  # ties on few values
    matrix[rng.random(matrix.shape) < 0.25] = np.nan
    odds = np.nan_to_num(matrix[:, 0]) - 2 + np.nan_to_num(matrix[:, 1]) / 100
    return matrix, rng.random(rows) < 1 / (1 + np.exp(-odds))


def fitted(depth=4, rounds=20, **options):
    matrix, flags = data()
    parameters = {"objective": "binary:logistic", "max_depth": depth, "nthread": 1, "max_bin": 32, **options}
    if parameters["objective"] == "multi:softprob":
        parameters["num_class"] = 2
    return xgboost.train(parameters, xgboost.DMatrix(matrix, label=flags), rounds)


def probes(trees):
    """Values on every bound, just beside it, missing and infinite."""
    rng = np.random.default_rng(5)
    bounds = np.unique(trees.bound)
    near = np.concatenate([bounds, np.nextafter(bounds, -np.inf), np.nextafter(bounds, np.inf)])
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3e38], np.float32)
    return rng.choice(np.concatenate([near, special]), (4000, FEATURES)).astype(np.float32)


@pytest.mark.parametrize("depth", [1, 2, 4, 6, MAX_DEPTH])
@pytest.mark.parametrize("options", [{}, {"grow_policy": "lossguide", "max_leaves": 9}, {"base_score": 0.03}])
def test_the_predictor_scores_as_xgboost_to_the_bit(depth, options):
    booster = fitted(depth, **options)
    trees = pad_trees(booster)
    predictor = TreePredictor(trees)
    for matrix in (data(seed=1)[0], probes(trees)):
        expected = booster.inplace_predict(matrix)
        assert np.array_equal(predictor.scores(matrix), expected)
        assert np.array_equal([predictor.scores(matrix[i : i + 1])[0] for i in range(20)], expected[:20])


def test_trees_that_are_one_leaf_score_too():
    booster = fitted(rounds=3, min_child_weight=1e9)
    matrix, _ = data()
    trees = pad_trees(booster)
    assert trees.column.shape == (3, 0)
    assert np.array_equal(TreePredictor(trees).scores(matrix), booster.inplace_predict(matrix))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"booster": "dart"}, "dart"),
        ({"booster": "gblinear"}, "gblinear"),
        ({"objective": "multi:softprob"}, "multi:softprob"),
        ({"objective": "binary:logitraw"}, "binary:logitraw"),
        ({"depth": 14, "min_child_weight": 0, "gamma": 0}, "depth"),
    ],
)
def test_what_the_predictor_does_not_support_is_refused_by_name(options, reason):
    with pytest.raises(UnsupportedTreesError, match=reason):
        pad_trees(fitted(**options))


def test_categorical_splits_are_refused():
    matrix, flags = data()
    rows = xgboost.DMatrix(
        np.nan_to_num(matrix[:, :1]), label=flags, feature_types=["c"], enable_categorical=True
    )
    booster = xgboost.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, rows, 2)
    with pytest.raises(UnsupportedTreesError, match="categorical"):
        pad_trees(booster)


def test_a_model_falls_back_to_xgboost_and_says_why(model, monkeypatch):
    def refuse(_):
        raise UnsupportedTreesError("dart")

    monkeypatch.setattr(forest, "pad_trees", refuse)
    rows = np.array(model.manifest.sample.rows, dtype=np.float32)
    slow = Model(model.ubj, model.fallback.ubj, model.manifest)
    assert slow.not_compiled == "dart"
    assert model.not_compiled is None
    assert np.array_equal(slow.predict(rows), model.predict(rows))


def test_a_predictor_that_differs_in_one_bit_is_given_up(trained, monkeypatch):
    compiled_scores = TreePredictor.scores
    monkeypatch.setattr(
        TreePredictor, "scores", lambda self, rows: np.nextafter(compiled_scores(self, rows), np.float32(1))
    )
    loaded = load_model(trained)
    assert loaded.not_compiled
    rows = np.array(loaded.manifest.sample.rows, dtype=np.float32)
    assert np.array_equal(loaded.predict(rows), booster_of(loaded.ubj).inplace_predict(rows))
