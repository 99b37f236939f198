import numpy as np

from model.forest.fit import fit_trees, sample_honest, scores_of
from stream_features.vector import SIZE


def some_data(rows=3000):
    rng = np.random.default_rng(2)
    features = rng.normal(size=(rows, SIZE)).astype(np.float32)
    features[rng.random(features.shape) < 0.1] = np.nan
    return features, np.nan_to_num(features[:, 3]) + rng.normal(size=rows) > 2


def test_the_same_data_and_seed_give_the_same_bytes():
    features, fraud = some_data()
    assert fit_trees(features, fraud, 7) == fit_trees(features, fraud, 7)
    assert fit_trees(features, fraud, 7) != fit_trees(features, fraud, 8)


def test_scores_are_probabilities_with_the_right_mean():
    features, fraud = some_data()
    scores = scores_of(fit_trees(features, fraud, 7), features)
    assert scores.dtype == np.float32
    assert abs(scores.mean() - fraud.mean()) < 0.02


def test_every_fraud_is_kept_and_weights_restore_the_honest():
    fraud = np.arange(100_000) % 100 == 0
    rows, weights = sample_honest(fraud, 10_000, 7)
    assert np.array_equal(rows[fraud[rows]], np.flatnonzero(fraud))
    assert set(weights[fraud[rows]]) == {1.0}
    assert abs(weights[~fraud[rows]].sum() / 99_000 - 1) < 1e-5


def test_few_honest_transactions_are_all_kept():
    rows, weights = sample_honest(np.array([True, False, False]), 10, 7)
    assert rows.tolist() == [0, 1, 2]
    assert weights.tolist() == [1, 1, 1]
