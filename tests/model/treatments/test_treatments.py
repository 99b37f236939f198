import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.treatments.calibrators import CALIBRATORS
from model.treatments.focal import focal_base, focal_derivatives
from model.treatments.reliability import calibration_figures, reliability, wilson
from model.treatments.treatments import TREATMENTS, mean_of, weighted_rate
from model.treatments.undersampling import balancing_beta, population_probability, undersampled_rows
from stream_features.vector import SIZE


@given(st.floats(-6, 6), st.booleans(), st.floats(0, 4))
def test_the_focal_gradient_is_the_slope_of_the_loss(margin, is_fraud, gamma):
    def loss(m):
        q = 1 / (1 + np.exp(-m if is_fraud else m))
        return -((1 - q) ** gamma) * np.log(q)

    label, step = np.array([float(is_fraud)]), 1e-5
    gradient, hessian = focal_derivatives(np.array([margin]), label, gamma)
    assert gradient[0] == pytest.approx((loss(margin + step) - loss(margin - step)) / (2 * step), abs=1e-6)
    before, after = (focal_derivatives(np.array([margin + d]), label, gamma)[0][0] for d in (-step, step))
    slope = (after - before) / (2 * step)
    assert hessian[0] > 0
    assert hessian[0] >= slope - 1e-5


def test_without_gamma_the_focal_loss_is_the_logistic_one():
    margin = np.linspace(-4, 4, 9)
    p = 1 / (1 + np.exp(-margin))
    gradient, hessian = focal_derivatives(margin, np.ones(9), 0.0)
    assert gradient == pytest.approx(p - 1)
    assert hessian == pytest.approx(p * (1 - p))


def test_the_focal_start_has_the_least_loss():
    def loss(p):
        return -0.02 * (1 - p) ** 2 * np.log(p) - 0.98 * p**2 * np.log(1 - p)

    base = focal_base(2.0, 0.02)
    assert base > 0.1
    assert loss(base) <= min(loss(base * 0.99), loss(base * 1.01))
    assert focal_base(0.0, 0.02) == pytest.approx(0.02, rel=1e-3)


def test_undersampling_is_undone_where_the_truth_is_known():
    """A feature of three values, with the probability of each in sample and population by counting."""
    rng = np.random.default_rng(1)
    value = rng.integers(0, 3, 400_000)
    fraud = rng.random(400_000) < np.array([0.001, 0.01, 0.05])[value]
    rows = undersampled_rows(fraud, 0.1, 2)
    assert np.isin(np.flatnonzero(fraud), rows).all()
    for number in range(3):
        sampled = fraud[rows][value[rows] == number].mean()
        corrected = population_probability(np.array([sampled]), 0.1)[0]
        assert corrected == pytest.approx(fraud[value == number].mean(), rel=0.06)
    assert population_probability(np.array([0.3, 1.0]), 1.0) == pytest.approx([0.3, 1.0])
    assert balancing_beta(np.array([True] + [False] * 5)) == 1.0


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(12_000, SIZE)).astype(np.float32)
    p = 1 / (1 + np.exp(-(features[:, 0] * 1.5 + features[:, 1] - 5.5)))
    return features, rng.random(12_000) < p


@pytest.mark.parametrize("treatment", TREATMENTS, ids=lambda treatment: treatment.name)
def test_each_treatment_ranks_and_only_some_give_probabilities(treatment, rows, monkeypatch):
    from dataclasses import replace

    from model.treatments import treatments

    few = replace(treatments.SHIPPED, trees=30, eta=0.2)
    monkeypatch.setattr(treatments, "SHIPPED", few)
    monkeypatch.setattr("model.forest.fit.SHIPPED", few)
    features, fraud = rows
    scores = treatment.fit(features[:8000], fraud[:8000], 7)(features[8000:])
    test_fraud = fraud[8000:]
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[test_fraud].mean() > 1.5 * scores[~test_fraud].mean()
    ratio = mean_of(scores) / test_fraud.mean()
    shifted = any(word in treatment.name for word in ("weights", "focal", "for a fraud"))
    assert (ratio > 1.3) if shifted else (0.6 < ratio < 1.3), ratio


def test_weighted_boosting_finds_the_weighted_rates():
    """From the rows' own rate as a start the first Newton steps overshoot, and every score is 0 or 1."""
    rng = np.random.default_rng(5)
    group = rng.choice(3, 60_000, p=[0.9, 0.08, 0.02])
    fraud = rng.random(60_000) < np.array([0.001, 0.004, 0.05])[group]
    features = np.zeros((60_000, 4), np.float32)
    features[:, 0], features[:, 1] = group == 1, group == 2
    weight = (~fraud).sum() / fraud.sum()
    expected = [weighted_rate(float(fraud[group == number].mean()), weight) for number in range(3)]
    (fit,) = (treatment.fit for treatment in TREATMENTS if treatment.name == "class weights")
    found = fit(features, fraud, 7)(features)
    assert [found[group == number][0] for number in range(3)] == pytest.approx(expected, abs=0.06)
    assert weighted_rate(0.02, 49.0) == pytest.approx(0.5)


def test_calibrators_restore_probabilities_and_keep_the_order():
    rng = np.random.default_rng(2)
    p = rng.beta(0.5, 8, 60_000)
    fraud = rng.random(60_000) < p
    distorted = (p**0.3).astype(np.float32)
    before = calibration_figures(distorted, fraud)
    for name in ("Platt", "isotonic"):
        mapped = CALIBRATORS[name](distorted[:30_000], fraud[:30_000])(distorted[30_000:])
        after = calibration_figures(mapped, fraud[30_000:])
        assert after.calibration_error < before.calibration_error / 5
        assert (np.diff(mapped[np.argsort(distorted[30_000:])]) >= -1e-7).all()
    assert CALIBRATORS["none"](distorted, fraud)(distorted) is distorted


def test_bins_hold_every_row_once_and_true_probabilities_agree():
    rng = np.random.default_rng(6)
    p = rng.beta(0.3, 20, 80_000).astype(np.float32)
    fraud = rng.random(80_000) < p
    bins = reliability(p, fraud)
    assert sum(bin_.count for bin_ in bins) == 80_000
    assert sum(bin_.frauds for bin_ in bins) == fraud.sum()
    assert len(bins) == 12
    assert sum(bin_.agrees for bin_ in bins) >= 9
    assert not any(bin_.agrees for bin_ in reliability(np.clip(3 * p + 0.02, 0, 1), fraud)[:8])


def test_ties_stay_in_one_bin_and_nothing_makes_no_bin():
    assert [bin_.count for bin_ in reliability(np.full(50, 0.2, np.float32), np.arange(50) < 10)] == [50]
    assert reliability(np.zeros(5, np.float32), np.zeros(5, np.bool_)) == []


def test_wilsons_interval_is_the_published_one():
    low, high = wilson(0, 10)
    assert (low, round(high, 4)) == (0.0, 0.213)
    assert wilson(10, 10)[1] == 1.0
