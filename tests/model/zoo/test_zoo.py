import sys

import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from model.zoo import factorisation, gru
from model.zoo.active_indexes import IndexEncoder
from model.zoo.entries import BASE, ZOO
from model.zoo.gru import GruModel, backward, fit_gru, forward, initial_parameters
from model.zoo.interface import PAYMENT_SIZE, STEPS, ZooData, zoo_data
from model.zoo.onnx_gru import OnnxGru
from producers.history.reader import read_history
from stream_features.vector import SIZE


@pytest.fixture(scope="module")
def data(small_history) -> ZooData:
    transactions = read_history(small_history).transactions().slice(0, 4000)
    features = np.random.default_rng(1).gamma(1.0, 100.0, (4000, SIZE)).astype(np.float32)
    features[:, 0] = transactions["amount_cents"].to_numpy()
    features[::7, 5] = np.nan
    return zoo_data(transactions, features, np.zeros(4000, np.bool_))


@pytest.fixture(scope="module")
def fraud(data) -> np.ndarray:
    """The largest amounts: every kind of model sees them."""
    return data.features[:, 0] > np.quantile(data.features[:, 0], 0.96)


def test_a_sequence_is_the_cards_last_payments_and_the_one_at_hand_is_last(data, small_history):
    cards = read_history(small_history).transactions()["card_id"].to_pylist()[:4000]
    for row in (0, 1999, 3999):
        earlier = [r for r in range(row + 1) if cards[r] == cards[row]][-STEPS:]
        (sequence,) = data.sequences(np.array([row]))
        assert np.array_equal(sequence[STEPS - len(earlier) :], data.payments[earlier])
        assert not sequence[: STEPS - len(earlier)].any()


def test_numbers_keep_their_tails_and_ids_become_a_hash(data):
    encoder = IndexEncoder.fitted(data.features[:3000])
    indexes, values = encoder.encoded(data.features, data.ids)
    assert indexes.shape == values.shape == (4000, SIZE + 4)
    assert indexes.max() < encoder.size
    is_missing = np.isnan(data.features[:, 5])
    assert (indexes[:, 5] == np.where(is_missing, SIZE + 5, 5)).all()
    assert (values[is_missing, 5] == 1).all()
    assert values[:3000, 0].mean() == pytest.approx(0, abs=1e-3)
    assert values[:3000, 0].std() == pytest.approx(1, abs=1e-2)
    tail = np.argsort(data.features[:, 0])[-40:]  # what lies in the last hundredth still differs
    distinct = np.unique(data.features[tail, 0])
    assert len(np.unique(values[tail, 0])) == len(distinct) > 20
    same_card = data.ids[:, 0] == data.ids[0, 0]
    assert len(set(indexes[same_card, SIZE])) == 1
    assert (indexes[:, SIZE:] >= encoder.number_indexes).all()


def test_a_factorisation_machine_scores_by_the_products_of_all_pairs():
    rng = np.random.default_rng(2)
    indexes = rng.integers(0, 40, (5, 6)).astype(np.int32)
    values = rng.normal(size=(5, 6)).astype(np.float32)
    weights, factors = rng.normal(size=40).astype(np.float32), rng.normal(size=(40, 3)).astype(np.float32)
    scores = factorisation._scores(indexes, values, 0.3, weights, factors)
    for active, x, score in zip(indexes, values, scores, strict=True):
        pairs = sum(
            (factors[i] * x[n]) @ (factors[j] * x[m])
            for n, i in enumerate(active)
            for m, j in enumerate(active)
            if m > n
        )
        margin = 0.3 + (weights[active] * x).sum() + pairs
        assert score == pytest.approx(1 / (1 + np.exp(-margin)), rel=1e-3)


def test_the_grus_gradients_are_the_slopes_of_the_loss():
    rng = np.random.default_rng(3)
    p = {name: v.astype(np.float64) for name, v in initial_parameters(rng, -1.0, 4).items()}
    x = rng.normal(size=(3, 5, 4))
    x[:, :, -1] = np.array([[0, 0, 1, 1, 1], [1] * 5, [0, 0, 0, 0, 1]])
    target, weight = np.array([1.0, 0.0, 1.0]), np.array([1.0, 2.0, 0.5])

    def loss():
        q = 1 / (1 + np.exp(-forward(p, x)[0]))
        return float(-np.mean(weight * (target * np.log(q) + (1 - target) * np.log(1 - q))))

    gradients = backward(p, x, target, weight)
    for name, values in p.items():
        flat = values.reshape(-1)
        for at in rng.integers(0, flat.size, 6):
            kept = flat[at]
            flat[at] = kept + 1e-3
            above = loss()
            flat[at] = kept - 1e-3
            below = loss()
            flat[at] = kept
            assert gradients[name].reshape(-1)[at] == pytest.approx((above - below) / 2e-3, abs=2e-4), name


def test_what_lies_before_the_first_payment_changes_nothing():
    rng = np.random.default_rng(4)
    p = initial_parameters(rng, 0.0)
    short = rng.normal(size=(2, 3, PAYMENT_SIZE)).astype(np.float32)
    short[:, :, -1] = 1
    padded = np.concatenate([np.zeros((2, 4, PAYMENT_SIZE), np.float32), short], axis=1)
    assert forward(p, padded)[0] == pytest.approx(forward(p, short)[0], abs=1e-6)


def test_onnx_runtime_scores_as_numpy_does(data):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime, of the extra `zoo`, is not installed")
    pytest.importorskip("onnx", reason="ONNX, of the extra `zoo`, is not installed")
    model = GruModel(initial_parameters(np.random.default_rng(5), -2.0))
    served, rows = OnnxGru(model), np.array([0, 5, 3999, 1200])
    expected = model.score(model.inputs(data, rows))
    assert served.score(served.inputs(data, rows)) == pytest.approx(expected, abs=1e-5)
    assert served.score(served.inputs(data, rows[:1])).shape == (1,)


def test_without_onnx_runtime_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FraudsimError, match="ONNX Runtime is missing; `make setup-zoo`"):
        OnnxGru(GruModel(initial_parameters(np.random.default_rng(5), 0.0)))


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.name)
def test_every_entry_scores_alike_alone_and_in_a_batch_and_ranks_fraud(entry, data, fraud, monkeypatch):
    from dataclasses import replace

    from model.forest import fit
    from model.zoo import tree_models

    few = replace(fit.SHIPPED, trees=20, eta=0.2)
    monkeypatch.setattr(fit, "SHIPPED", few)
    monkeypatch.setattr(tree_models, "SHIPPED", few)
    monkeypatch.setattr(gru, "EPOCHS", 12)
    rows, test = np.arange(3000), np.arange(3000, 4000)
    model = entry.fit(data, rows, fraud[:3000], 7)
    scores = model.score(model.inputs(data, test))
    assert scores.shape == (1000,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores[fraud[3000:]].mean() > 1.2 * scores[~fraud[3000:]].mean()
    alone = [model.score(model.inputs(data, test[i : i + 1]))[0] for i in (0, 500, 999)]
    assert alone == pytest.approx(scores[[0, 500, 999]], rel=1e-4)
    assert model.size_bytes > 100
    assert entry.serving.startswith("serv") == entry.served


def test_the_base_is_the_first_and_names_differ():
    assert ZOO[0].name == BASE
    assert len({entry.name for entry in ZOO}) == len(ZOO)


def test_the_same_seed_gives_the_same_gru(data, fraud, monkeypatch):
    monkeypatch.setattr(gru, "EPOCHS", 1)
    rows = np.arange(600)
    first, second = (fit_gru(data, rows, fraud[:600], 3).parameters for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
