import json
import os
import shutil

import msgspec
import numpy as np
import pytest

from fraudsim.errors import FraudsimError
from model.artefact import manifest as manifests
from model.artefact.files import (
    FALLBACK_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    check_writable,
    load_model,
    read_manifest,
    write_model,
)
from model.artefact.manifest import REQUEST_NAMES
from model.forest.fit import scores_of
from stream_features.catalogue.features import NAMES, feature_indexes
from stream_features.vector import SIZE, as_vector


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def edit(directory, change, reseal=False):
    path = directory / MANIFEST_FILE
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))
    if reseal:
        manifest = manifests.seal(msgspec.json.decode(path.read_bytes(), type=manifests.Manifest))
        path.write_bytes(manifests.to_json(manifest))


def refusal(directory):
    with pytest.raises(FraudsimError) as error:
        load_model(directory)
    assert "\n" not in str(error.value)
    assert str(directory) in str(error.value)
    return str(error.value)


def set_to(field, value):
    return lambda document: document.__setitem__(field, value)


def test_a_model_scores_after_loading_as_before_to_the_bit(model):
    rng = np.random.default_rng(1)
    matrix = rng.normal(1000, 500, size=(512, SIZE)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    expected = scores_of(model.ubj, matrix)
    assert np.array_equal(model.predict(matrix), expected)
    one_by_one = [model.predict(matrix[i : i + 1])[0] for i in range(50)]
    assert np.array_equal(one_by_one, expected[:50])
    assert ((expected > 0) & (expected < 1)).all()


def test_writing_what_was_loaded_gives_the_same_bytes(model, trained, tmp_path):
    write_model(tmp_path / "again", model.ubj, model.fallback.ubj, model.manifest)
    for name in (MODEL_FILE, FALLBACK_FILE, MANIFEST_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (trained / name).read_bytes()


def test_the_sample_covers_the_ranking_and_survives_json_exactly(model):
    rows = np.stack([as_vector(row) for row in model.manifest.sample.rows])
    assert rows.shape == (32, SIZE)
    assert np.array_equal(model.predict(rows).astype(np.float64), np.array(model.manifest.sample.scores))
    assert model.manifest.sample.scores[-1] > 10 * model.manifest.sample.scores[0]


def test_the_manifest_names_what_the_model_is_made_of(model):
    manifest = model.manifest
    assert manifest.features == list(NAMES)
    assert len(manifest.version) == 16
    assert len(manifest.data_fingerprint) == 64
    assert manifest.test_from_ms - manifest.train_until_ms == 7 * 86_400_000
    assert manifest.versions.xgboost


def test_reasons_are_features_that_raise_the_score(model):
    riskiest = as_vector(model.manifest.sample.rows[-1])
    reasons = model.reasons(riskiest, k=3)
    assert 1 <= len(reasons) <= 3
    assert set(reasons) <= set(NAMES)
    assert model.reasons(riskiest, k=1) == reasons[:1]


@pytest.mark.parametrize("name", [MODEL_FILE, FALLBACK_FILE, MANIFEST_FILE])
def test_a_missing_file_is_refused_with_the_command_that_makes_it(copy, name):
    (copy / name).unlink()
    message = refusal(copy)
    assert name in message
    assert "fraudsim train" in message


@pytest.mark.parametrize("size", [0, 1, 1000, -1])
def test_a_cut_model_is_refused(copy, size):
    raw = (copy / MODEL_FILE).read_bytes()
    (copy / MODEL_FILE).write_bytes(raw[:size])
    message = refusal(copy)
    assert MODEL_FILE in message
    assert "model_sha256" in message


@pytest.mark.parametrize(
    ("name", "field"), [(MODEL_FILE, " model_sha256"), (FALLBACK_FILE, "fallback.model_sha256")]
)
def test_a_model_with_one_bit_changed_is_refused(copy, name, field):
    raw = bytearray((copy / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (copy / name).write_bytes(raw)
    message = refusal(copy)
    assert name in message
    assert field in message


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"version": "x"}', b"\xff\xfe"])
def test_a_manifest_that_cannot_be_read_is_refused(copy, raw):
    (copy / MANIFEST_FILE).write_bytes(raw)
    assert MANIFEST_FILE in refusal(copy)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("features", [*NAMES[:-1], "shoe_size"]),
        ("features", list(NAMES[:-1])),
        ("features", [NAMES[1], NAMES[0], *NAMES[2:]]),
        ("catalogue_hash", "0" * 16),
        ("feature_hash", "0" * 16),
        ("format_version", 99),
        ("version", "0" * 16),
        ("model_sha256", "0" * 64),
        ("label_gap_days", "seven"),
        ("thresholds", {"step_up": 0.9, "review": 0.5, "decline": 0.95}),
        ("thresholds", {"step_up": 0.1, "review": 0.5, "decline": 0.95}),
        ("data_fingerprint", "0" * 64),
        ("surprise", 1),
    ],
)
def test_an_edited_manifest_is_refused_and_the_field_named(copy, field, value):
    edit(copy, set_to(field, value))
    message = refusal(copy)
    assert field in message or (field == "data_fingerprint" and "manifest_sha256" in message)


@pytest.mark.parametrize(
    ("field", "value"), [("features", list(reversed(NAMES))), ("catalogue_hash", "0" * 16)]
)
def test_a_model_of_other_features_is_refused_even_where_its_own_hashes_agree(copy, field, value):
    edit(copy, set_to(field, value), reseal=True)
    assert field in refusal(copy)


def test_a_model_of_another_catalogue_is_refused(copy, monkeypatch):
    monkeypatch.setattr(manifests, "HASH", "f" * 16)
    assert "catalogue_hash" in refusal(copy)


def test_a_changed_sample_score_is_refused_even_where_the_hashes_agree(copy):
    def nudge(document):
        scores = document["sample"]["scores"]
        scores[5] = float(np.nextafter(np.float32(scores[5]), np.float32(1)))

    edit(copy, nudge, reseal=True)
    message = refusal(copy)
    assert "sample row 5" in message
    assert "scores[5]" in message


def test_a_fallback_of_other_features_or_scores_is_refused(copy):
    def look_at_state(document):
        document["fallback"]["features"][0] = "card_count_1h"

    def nudge(document):
        scores = document["fallback"]["sample"]["scores"]
        scores[5] = float(np.nextafter(np.float32(scores[5]), np.float32(1)))

    shutil.copytree(copy, copy.parent / "other")
    edit(copy, look_at_state, reseal=True)
    assert "fallback.features" in refusal(copy)
    edit(copy.parent / "other", nudge, reseal=True)
    assert "fallback.sample row 5" in refusal(copy.parent / "other")


def test_the_fallback_looks_at_nothing_but_the_request(model):
    rows = np.stack([as_vector(row) for row in model.manifest.fallback.sample.rows])
    windows = np.delete(np.arange(SIZE), feature_indexes("request"))
    assert np.isnan(rows[:, windows]).all()
    filled = rows.copy()
    filled[:, windows] = 1e6
    assert np.array_equal(model.fallback.predict(filled), model.fallback.predict(rows))
    assert set(model.fallback.reasons(rows[-1])) <= set(REQUEST_NAMES)
    assert model.fallback.not_compiled is None


def test_a_changed_sample_row_is_refused(copy):
    def swap(document):
        rows = document["sample"]["rows"]
        rows[0], rows[-1] = rows[-1], rows[0]

    edit(copy, swap, reseal=True)
    assert "sample row 0" in refusal(copy)


@pytest.mark.parametrize("empty", [{"rows": [], "scores": []}, {"rows": [[1.0]], "scores": [0.5]}])
def test_a_sample_that_checks_nothing_is_refused(copy, empty):
    edit(copy, set_to("sample", empty), reseal=True)
    assert "sample" in refusal(copy)


def test_another_version_of_xgboost_may_differ_in_the_last_bits_but_no_more(copy):
    def by(amount):
        def change(document):
            document["versions"]["xgboost"] = "0.0.1"
            document["sample"]["scores"][5] += amount

        return change

    edit(copy, by(5e-7), reseal=True)
    load_model(copy)
    edit(copy, by(1e-5), reseal=True)
    assert "xgboost 0.0.1" in refusal(copy)


def test_a_model_is_replaced_whole_and_nothing_is_left_beside_it(model, tmp_path):
    for _ in range(2):
        write_model(tmp_path / "m", model.ubj, model.fallback.ubj, model.manifest)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert load_model(tmp_path / "m").version == model.version


def test_a_folder_with_other_files_is_not_replaced(model, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "diary.txt").write_text("mine")
    with pytest.raises(FraudsimError, match=r"diary\.txt"):
        write_model(tmp_path / "home", model.ubj, model.fallback.ubj, model.manifest)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_failed_write_leaves_the_old_model_in_place(model, trained, copy, monkeypatch):
    rename = os.rename

    def fail(source, target):
        if str(source).endswith(".tmp"):
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(FraudsimError, match="No space left"):
        write_model(copy, model.ubj, model.fallback.ubj, model.manifest)
    assert load_model(copy).version == model.version
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_the_manifest_alone_can_be_read_and_is_checked(copy):
    assert read_manifest(copy).version
    edit(copy, set_to("data_fingerprint", "0" * 64))
    with pytest.raises(FraudsimError, match="manifest_sha256"):
        read_manifest(copy)


@pytest.mark.parametrize("kind", ["a file", "below a file", "other files"])
def test_a_folder_that_cannot_be_written_is_found_before_the_work(kind, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    folders = {"a file": "file", "below a file": "file/model", "other files": "full"}
    with pytest.raises(FraudsimError, match=folders[kind].split("/")[0]):
        check_writable(tmp_path / folders[kind])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "letter.txt"]


def test_a_model_or_nothing_may_be_replaced(copy, tmp_path):
    before = sorted(path.name for path in tmp_path.rglob("*"))
    check_writable(copy)
    check_writable(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
