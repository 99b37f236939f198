import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from model.artefact.files import load_model
from model.cli import app
from model.training.train import TrainingPlan, train_model
from producers.history.reader import read_history


def retrained(history, tmp_path, settings, labels):
    copy = shutil.copytree(history, tmp_path / "other")
    pq.write_table(labels, copy / "labels.parquet")
    return train_model(copy, tmp_path / "model", settings)


def test_labels_known_after_the_training_time_change_nothing_in_the_model(
    small_history, trained, small_settings, tmp_path
):
    before = load_model(trained).manifest
    labels = read_history(small_history).labels()
    late = np.asarray(labels["known_at"]) >= before.test_from_ms
    assert late.sum() > 100
    shuffled = np.asarray(labels["is_fraud"]).copy()
    shuffled[late] = np.random.default_rng(1).permutation(~shuffled[late])
    column = labels.column_names.index("is_fraud")
    after = retrained(
        small_history, tmp_path, small_settings, labels.set_column(column, "is_fraud", pa.array(shuffled))
    )
    assert after.model_sha256 == before.model_sha256
    assert after.thresholds == before.thresholds
    assert after.version == before.version
    assert after.metrics != before.metrics


def test_labels_known_before_the_training_time_do_matter(small_history, trained, small_settings, tmp_path):
    before = load_model(trained).manifest
    labels = read_history(small_history).labels()
    known_in_time = pc.less(labels["known_at"], before.test_from_ms)
    sometimes = pa.array(np.arange(labels.num_rows) % 3 > 0)
    remaining = labels.filter(pc.or_(pc.invert(known_in_time), sometimes))
    after = retrained(small_history, tmp_path, small_settings, remaining)
    assert after.model_sha256 != before.model_sha256
    assert after.version != before.version


def test_training_again_gives_the_same_files(small_history, trained, small_settings, tmp_path):
    train_model(small_history, tmp_path / "again", small_settings)
    for path in trained.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_the_model_ranks_better_than_chance_and_not_incredibly(model):
    metrics = model.manifest.metrics
    assert 3 * metrics.test_fraud_rate < metrics.average_precision < 0.97
    assert 0.6 < metrics.auc < 1


def test_late_labels_leave_part_of_the_fraud_unknown(model):
    assert 0.02 < model.manifest.metrics.unknown_fraud_share < 0.8


def test_the_callers_groups_are_reported_and_change_nothing_else(
    small_history, trained, small_settings, tmp_path
):
    before = load_model(trained).manifest
    truth = read_history(small_history).truth()
    frauds = truth.filter(truth["is_fraud"])
    typology = dict(zip(frauds["tx_id"].to_pylist(), frauds["typology"].to_pylist(), strict=True))
    after = train_model(small_history, tmp_path / "m", small_settings, TrainingPlan(evaluate_by=typology))
    assert set(after.metrics.recall_by_group) <= set(typology.values())
    assert after.metrics.recall_by_group
    assert after.version == before.version


def test_no_room_to_train_is_an_error_that_names_the_setting(small_history, tmp_path):
    with pytest.raises(FraudsimError, match="FRAUDSIM_LABEL_GAP_DAYS=30"):
        train_model(small_history, tmp_path / "m", Settings(label_gap_days=30))
    assert not (tmp_path / "m").exists()


def test_a_missing_history_is_named(tmp_path, small_settings):
    with pytest.raises(FraudsimError, match="nowhere"):
        train_model(tmp_path / "nowhere", tmp_path / "m", small_settings)


def test_the_command_shows_a_model(trained):
    result = CliRunner().invoke(app, ["model", "check", str(trained)])
    assert result.exit_code == 0
    for words in ("average precision", "card precision@100", "not known yet", "decline from"):
        assert words in " ".join(result.output.split())


def test_what_it_costs_to_decide_without_state_is_measured_and_shown(model, trained):
    champion, fallback = model.manifest.metrics, model.manifest.fallback.metrics
    assert fallback.average_precision < champion.average_precision
    assert fallback.test_rows == champion.test_rows
    assert model.manifest.fallback.thresholds != model.manifest.thresholds
    result = CliRunner().invoke(app, ["model", "check", str(trained)])
    assert f"average precision {fallback.average_precision:.3f}" in " ".join(result.output.split())
