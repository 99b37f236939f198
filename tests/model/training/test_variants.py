"""The cheaper models: they are checked like the full one and change nothing in it."""

import json
import shutil
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from model.artefact import manifest as manifests
from model.artefact.cascade import Cascade
from model.artefact.costs import Costs, Stakes
from model.artefact.files import (
    DISTILLED_FILE,
    FALLBACK_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    load_model,
    write_model,
)
from model.artefact.first_stage import FirstStage, choose_limit, fit_first_stage
from model.artefact.thresholds import Thresholds, total_cost
from model.cli import app
from model.forest import fit
from model.forest.fit import scores_of
from model.forest.forest import booster_of
from model.report.variants_table import microseconds_per_row
from model.training.distillation import DEPTH, TREES, fit_distilled
from model.training.train import TrainingPlan, train_model
from stream_features.vector import SIZE, as_vector

FEW = 40
"""Trees of the full model here: enough to be imitated."""


def train_few(directory, history, settings, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "SHIPPED", replace(fit.SHIPPED, trees=FEW))
        train_model(history, directory, settings, TrainingPlan(**options))
    return directory


@pytest.fixture(scope="module")
def plain(tmp_path_factory, small_history, small_settings):
    return train_few(tmp_path_factory.mktemp("plain") / "model", small_history, small_settings)


@pytest.fixture(scope="module")
def varied(tmp_path_factory, small_history, small_settings):
    directory = tmp_path_factory.mktemp("varied") / "model"
    return train_few(directory, small_history, small_settings, variants=True)


@pytest.fixture
def copy(varied, tmp_path):
    return shutil.copytree(varied, tmp_path / "copy")


def rows_of(model):
    return np.stack([as_vector(row) for row in model.manifest.sample.rows])


def edit(directory, change):
    path = directory / MANIFEST_FILE
    document = json.loads(path.read_bytes())
    change(document["variants"])
    path.write_text(json.dumps(document))
    manifest = manifests.seal(msgspec.json.decode(path.read_bytes(), type=manifests.Manifest))
    path.write_bytes(manifests.to_json(manifest))


def refusal(directory):
    with pytest.raises(FraudsimError) as error:
        load_model(directory)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_they_change_nothing_in_the_full_model_but_its_version(plain, varied):
    for name in (MODEL_FILE, FALLBACK_FILE):
        assert (varied / name).read_bytes() == (plain / name).read_bytes()
    plain_model, varied_model = load_model(plain), load_model(varied)
    assert varied_model.manifest.metrics == plain_model.manifest.metrics
    assert varied_model.thresholds == plain_model.thresholds == plain_model.manifest.thresholds
    assert varied_model.version != plain_model.version
    assert "variants" not in json.loads((plain / MANIFEST_FILE).read_bytes())
    assert (plain_model.kinds, varied_model.kinds) == (("full",), ("full", "cascade", "distilled"))
    assert plain_model.serving is plain_model
    assert varied_model.serving is varied_model


def test_the_distilled_model_is_a_few_shallow_trees_and_ranks_like_the_full_one(varied):
    model = load_model(varied, "distilled")
    distilled = model.manifest.variants.distilled
    assert (distilled.trees, distilled.depth) == (TREES, DEPTH)
    assert booster_of(model.distilled_ubj).num_boosted_rounds() == TREES
    assert model.serving.not_compiled is None
    assert model.variant == "distilled"
    assert model.thresholds == distilled.thresholds != model.manifest.thresholds
    assert model.metrics == distilled.metrics != model.manifest.metrics
    assert np.array_equal(
        model.serving.predict(rows_of(model)), scores_of(model.distilled_ubj, rows_of(model))
    )
    assert distilled.metrics.average_precision > 0.7 * model.manifest.metrics.average_precision
    assert distilled.metrics.test_rows == model.manifest.metrics.test_rows


def test_the_cascade_is_the_first_stage_below_its_limit_and_the_full_model_above(varied):
    model = load_model(varied, "cascade")
    numbers = model.manifest.variants.cascade
    first = FirstStage.of(numbers.weight, numbers.missing, numbers.bias)
    rows = rows_of(model)
    surely = first.scores(rows) < numbers.limit
    assert 0 < surely.sum() < len(rows)
    expected = np.where(surely, first.scores(rows), model.predict(rows))
    assert np.array_equal(model.serving.predict(rows), expected)
    assert np.array_equal([model.serving.predict(row[None])[0] for row in rows], expected)
    assert np.array_equal(model.serving.predict(rows[~surely]), expected[~surely])
    assert np.array_equal(model.serving.predict(rows[surely]), expected[surely])
    assert model.serving.cheap_share(rows) == surely.mean()
    assert model.serving.reasons(rows[-1]) == model.reasons(rows[-1])
    assert (model.variant, model.thresholds) == ("cascade", model.manifest.thresholds)
    assert model.metrics == numbers.metrics != model.manifest.metrics
    assert 0 < numbers.cheap_share < 1
    assert numbers.limit <= model.thresholds.step_up


def test_the_first_stage_is_the_formula_that_it_states():
    rng = np.random.default_rng(2)
    rows = rng.lognormal(3, 2, (200, SIZE)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[:, 0] = 0
    weight, missing = rng.normal(0, 0.05, SIZE), rng.normal(0, 0.3, SIZE)
    parts = np.where(np.isnan(rows), missing, weight * np.log1p(rows.astype(np.float64)))
    expected = 1 / (1 + np.exp(-(parts.sum(axis=1) - 1.5)))
    assert FirstStage.of(weight, missing, -1.5).scores(rows) == pytest.approx(expected, rel=1e-6)


def make_rows(count=6_000):
    """Fraud where the amount is large or the second feature is missing; one is never known, one constant."""
    rng = np.random.default_rng(4)
    rows = rng.lognormal(5, 2, (count, SIZE)).astype(np.float32)
    rows[:, 1][rng.random(count) < 0.3] = np.nan
    rows[:, 2], rows[:, 3] = np.nan, 5.0
    odds = -4 + 0.8 * (np.log1p(rows[:, 0]) - 5) + 1.5 * np.isnan(rows[:, 1])
    return rows, rng.random(count) < 1 / (1 + np.exp(-odds)), odds


def test_the_first_stage_learns_from_values_and_from_what_is_missing():
    rows, fraud, odds = make_rows()
    first = fit_first_stage(rows, fraud, 1)
    scores = first.scores(rows).astype(np.float64)
    assert np.corrcoef(np.log(scores / (1 - scores)), odds)[0, 1] > 0.95
    assert scores.mean() == pytest.approx(fraud.mean(), rel=0.02)
    assert first.weight[0] == pytest.approx(0.8, abs=0.15)
    again = fit_first_stage(rows, fraud, 1)
    assert (again.weight.tolist(), again.bias) == (first.weight.tolist(), first.bias)


def test_the_distilled_trees_imitate_margins_and_are_the_same_again():
    rows, fraud, odds = make_rows()
    teacher_scores = (1 / (1 + np.exp(-odds))).astype(np.float32)
    ubj = fit_distilled(rows, fraud, teacher_scores, 1)
    scores = scores_of(ubj, rows).astype(np.float64)
    assert np.corrcoef(np.log(scores / (1 - scores)), odds)[0, 1] > 0.95
    assert scores.mean() == pytest.approx(teacher_scores.mean(), rel=0.1)
    assert fit_distilled(rows, fraud, teacher_scores, 1) == ubj


def by_search(first, full, stakes, costs, thresholds, loss):
    """The highest limit that is allowed, of all there could be."""
    allowed = total_cost(full, stakes, costs, thresholds) * (1 + loss)
    best = 0.0
    for limit in sorted(set(first.tolist())):
        mixed = np.where(first < limit, 0.0, full)
        if limit <= thresholds.step_up and limit > first.min():
            best = limit if total_cost(mixed, stakes, costs, thresholds) <= allowed else best
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_limit_is_the_highest_that_costs_no_more_than_allowed(seed):
    rng = np.random.default_rng(seed)
    full = rng.random(80) ** 4
    first = np.round(full * rng.uniform(0.05, 1, 80), 2)  # with ties
    amount, fraud = rng.lognormal(8, 2, 80).astype(np.int64), rng.random(80) < full
    arguments = (
        first,
        full,
        Stakes(amount, fraud, rng.random(80) < 0.5),
        Costs(),
        Thresholds(0.1 + 0.05 * (seed % 4), 0.4, 0.7),
        0.1 * (seed % 3),
    )
    assert choose_limit(*arguments) == by_search(*arguments)


def test_no_limit_is_allowed_where_the_first_stage_knows_nothing():
    full, amount = np.array([0.001, 0.9, 0.95]), np.array([1_000, 90_000, 90_000])
    limits, stakes = Thresholds(0.1, 0.2, 0.5), Stakes(amount, full > 0.5, full > 0)
    backwards = choose_limit(np.array([0.03, 0.01, 0.02]), full, stakes, Costs(), limits, 0.01)
    alike = choose_limit(np.array([0.01, 0.01, 0.01]), full, stakes, Costs(), limits, 0.01)
    assert (backwards, alike) == (0.0, 0.0)
    rows = np.ones((3, SIZE), np.float32)
    first = FirstStage.of([0.0] * SIZE, [0.0] * SIZE, -9.0)
    assert Cascade(first, 0.0, None).cheap_share(rows) == 0.0


def test_a_kind_that_is_not_there_is_refused_with_the_command_that_makes_it(plain):
    for kind in ("cascade", "distilled"):
        with pytest.raises(FraudsimError, match=f"FRAUDSIM_MODEL_KIND={kind}: .*--variants"):
            load_model(plain, kind)


def test_distilled_trees_that_are_missing_or_changed_are_refused(copy):
    path = copy / DISTILLED_FILE
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    assert "distilled.model_sha256" in refusal(copy)
    path.unlink()
    assert DISTILLED_FILE in refusal(copy)


def nudged(kind):
    def change(variants):
        scores = variants[kind]["sample"]["scores"]
        scores[5] += 3e-6

    return change


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (nudged("cascade"), "variants.cascade.sample row 5"),
        (nudged("distilled"), "variants.distilled.sample row 5"),
        (lambda variants: variants["cascade"]["weight"].pop(), "variants.cascade.weight has 64 numbers"),
        (
            lambda variants: variants["cascade"]["missing"].append(0.0),
            "variants.cascade.missing has 66 numbers",
        ),
        (lambda variants: variants["cascade"].update(bias=0.5), "variants.cascade.sample row 0"),
    ],
)
def test_numbers_that_score_otherwise_are_refused_even_where_the_hashes_agree(copy, change, field):
    edit(copy, change)
    assert field in refusal(copy)


def test_another_limit_is_another_version(copy, varied):
    edit(copy, lambda variants: variants["cascade"].update(limit=variants["cascade"]["limit"] * (1 + 1e-9)))
    assert load_model(copy).version != load_model(varied).version


def test_writing_what_was_loaded_gives_the_same_bytes(varied, tmp_path):
    model = load_model(varied)
    for _ in range(2):
        write_model(tmp_path / "again", model.ubj, model.fallback.ubj, model.manifest, model.distilled_ubj)
    for path in varied.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_command_shows_what_each_variant_sacrifices(varied, plain):
    variants = load_model(varied).manifest.variants
    output = " ".join(
        CliRunner().invoke(app, ["model", "check", str(varied)], env={"COLUMNS": "200"}).output.split()
    )
    for kind, metrics in (("cascade", variants.cascade.metrics), ("distilled", variants.distilled.metrics)):
        lost = load_model(varied).manifest.metrics.average_precision - metrics.average_precision
        assert f"│ {kind} │ {metrics.average_precision:.3f} │ {lost:+.3f} │" in output
    assert f"{100 * variants.cascade.cheap_share:.1f} %" in output
    assert "sacrifices" not in CliRunner().invoke(app, ["model", "check", str(plain)]).output


def test_the_distilled_model_takes_less_time_than_the_full_one(varied):
    microseconds = microseconds_per_row(load_model(varied))
    assert set(microseconds) == {(kind, n) for kind in ("full", "cascade", "distilled") for n in (1, 512)}
    assert microseconds["distilled", 512] < microseconds["full", 512]
