"""The kinds of model in an artefact: which one decides, and the variant that its decisions name."""

import asyncio
import time
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from model.artefact.manifest import CascadeNumbers, Distilled, Sample, Variants
from model.artefact.model import Model
from model.artefact.thresholds import Thresholds
from model.forest.fit import fit_trees
from model.training.fallback import request_only
from scorer.decide import Incoming
from scorer.models import served as served_model
from scorer.models.served import ServedModel
from scorer.policy.policy import ByThresholds, Exploration, Limits, Policy
from stream_features.catalogue.features import NAMES
from stream_features.catalogue.reason_text import sentences
from stream_features.vector import SIZE
from testing.samples.manifest import MANIFEST
from tests.scorer.test_decide import Store, decide, decider_of, transaction

NO_SAMPLE = Sample(rows=[], scores=[])
LIMIT = 0.01
TRAINED = {"champion": ByThresholds(), "fallback": ByThresholds()}
BY_THRESHOLDS = SimpleNamespace(policy=Policy("1", TRAINED, Limits(), Exploration(), ()), rule_failed=None)


@pytest.fixture(scope="module")
def trees():
    """Full, fallback and distilled: each knows the amount, and little else."""
    rng = np.random.default_rng(1)
    rows = rng.lognormal(5, 2, (3_000, SIZE)).astype(np.float32)
    fraud = rng.random(3_000) < 0.01 + 0.6 * (rows[:, 0] > 1_000)
    others = rng.random(3_000) < 0.01 + 0.45 * (rows[:, 0] > 1_000)
    return fit_trees(rows, fraud, 1), fit_trees(request_only(rows), fraud, 1), fit_trees(rows, others, 1)


def model_of(trees, kind):
    """The first stage knows amounts up to some 50.00 for honest."""
    full, fallback, distilled = trees
    weight = [0.0] * SIZE
    weight[0] = 1.0
    variants = Variants(
        cascade=CascadeNumbers(
            weight=weight, missing=[0.0] * SIZE, bias=-13.1, limit=LIMIT, cheap_share=0.5,
            metrics=MANIFEST.metrics, sample=NO_SAMPLE,
        ),
        distilled=Distilled(
            trees=30, depth=4, thresholds=Thresholds(0.9, 0.95, 0.99), metrics=MANIFEST.metrics,
            sample=NO_SAMPLE, model_sha256="",
        ),
    )  # fmt: skip
    return Model(full, fallback, msgspec.structs.replace(MANIFEST, variants=variants), distilled, kind)


def decided(model, amount, via="stream", after_s=0.0):
    decider = decider_of(model, Store(after_s), BY_THRESHOLDS)
    incoming = [Incoming(transaction(9, amount), 1, 0, 7)]
    (decision,) = asyncio.run(decider.decide(incoming, via, time.monotonic() + 0.2))
    return decision


def row_of(decision):
    return np.array([[np.nan if value is None else value for value in decision.features]], np.float32)


def test_the_distilled_model_decides_by_its_own_scores_and_thresholds(trees):
    full, distilled = model_of(trees, "full"), model_of(trees, "distilled")
    by_full, by_distilled = decided(full, 50_000), decided(distilled, 50_000)
    assert (by_full.variant, by_distilled.variant) == ("champion", "distilled")
    assert by_full.score == float(full.predict(row_of(by_full))[0])
    assert by_distilled.score == float(distilled.serving.predict(row_of(by_distilled))[0]) != by_full.score
    assert MANIFEST.thresholds.step_up < by_distilled.score < 0.9
    assert (by_full.action, by_distilled.action) == ("decline", "approve")
    assert by_distilled.reasons == []
    assert by_full.model_version == by_distilled.model_version


def test_the_cascade_approves_by_its_first_stage_and_asks_the_full_model_else(trees):
    cascade = model_of(trees, "cascade")
    small, large = decided(cascade, 300), decided(cascade, 50_000)
    assert small.score == float(cascade.serving._first_stage.scores(row_of(small))[0]) < LIMIT
    assert (small.variant, small.action, small.reasons) == ("cascade", "approve", [])
    assert large.score == decided(model_of(trees, "full"), 50_000).score
    assert large.action == "decline"
    assert large.reasons == cascade.reasons(row_of(large)[0])
    assert large.reasons[0] == "amount"


@pytest.mark.parametrize("kind", ["full", "cascade", "distilled"])
def test_without_state_the_fallback_decides_and_explains_whatever_serves(trees, kind):
    model = model_of(trees, kind)
    decision = decided(model, 50_000, after_s=60.0)
    assert (decision.degraded, decision.variant) == (True, "fallback")
    assert decision.score == float(model.fallback.predict(row_of(decision))[0])
    assert decision.reasons == model.fallback.reasons(row_of(decision)[0])
    assert sentences(decision.reasons, decision.features)[0] == "A large amount: 500.00"


def test_a_decision_is_explained_only_where_it_is_not_approved(trees, monkeypatch):
    model = model_of(trees, "full")
    explained_rows = []
    explain = model.reasons
    monkeypatch.setattr(model, "reasons", lambda row: explained_rows.append(row) or explain(row))
    approved, declined = decided(model, 300), decided(model, 50_000)
    assert (approved.action, approved.reasons) == ("approve", [])
    assert len(explained_rows) == 1
    assert declined.reasons[0] == "amount"
    assert set(declined.reasons) <= set(NAMES)
    assert len(declined.reasons) <= 4
    assert decide(decider_of(model, Store(), BY_THRESHOLDS), "stream").reasons == declined.reasons


def test_the_kind_is_kept_when_another_artefact_is_served(tmp_path, monkeypatch):
    loaded = []

    def load(directory, kind):
        loaded.append((directory, kind))
        forest = SimpleNamespace()
        manifest = SimpleNamespace(version=str(len(loaded)), features=[], test_from_ms=0)
        return SimpleNamespace(serving=forest, fallback=forest, manifest=manifest, version=manifest.version)

    monkeypatch.setattr(served_model, "load_model", load)
    log = SimpleNamespace(info=lambda *_, **__: None)

    async def scene():
        served = ServedModel(tmp_path, log, "cascade")
        (tmp_path / "manifest.json").write_text("{}")
        served.refresh()
        await served.await_loaded()
        assert loaded == [(tmp_path, "cascade")] * 2
        assert served.model.manifest.version == "2"

    asyncio.run(scene())
