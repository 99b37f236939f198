import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from model.tuning.paired import ScoredTest, WeightedRanking, paired_difference


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=40).filter(
        lambda rows: any(fraud and weight for fraud, _, weight in rows)
    )
)
def test_weighted_average_precision_is_scikit_learns(rows):
    fraud, scores, weight = (np.array(column) for column in zip(*rows, strict=True))
    kept = weight > 0
    expected = average_precision_score(fraud[kept], scores[kept], sample_weight=weight[kept])
    assert WeightedRanking(fraud, scores).average_precision(weight.astype(float)) == pytest.approx(expected)


def scored_test(seed, noise):
    rng = np.random.default_rng(seed)
    fraud = rng.random(3000) < 0.05
    own, baseline = (fraud + width * rng.normal(size=3000) for width in (0.5, noise))
    return ScoredTest(rng.integers(0, 400, 3000), fraud, own.astype(np.float32), baseline.astype(np.float32))


def test_the_interval_of_a_better_scoring_lies_above_zero():
    result = paired_difference([scored_test(1, 1.5), scored_test(2, 1.5)], 7, 100)
    assert 0 < result.low < result.difference < result.high
    assert result.difference == pytest.approx(result.average_precision - result.baseline)


def test_equal_scorings_differ_by_nothing():
    test = scored_test(1, 1.0)
    same = ScoredTest(test.card, test.is_fraud, test.scores, test.scores)
    result = paired_difference([same], 7, 50)
    assert result.low == result.high == result.difference == 0
