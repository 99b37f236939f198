"""The audit log and the lineage of a registry."""

import shutil

import msgspec
import pytest
from typer.testing import CliRunner

from fraudsim.cli import build
from fraudsim.errors import FraudsimError
from model.registry.aliases import Aliases, add_shadow, promote, roll_back
from model.registry.audit import AUDIT_FILE, Cause, read_audit
from model.registry.lineage import Lineage, differences, read_lineage, write_lineage
from model.registry.versions import add_version, change_aliases
from testing.samples.small_models import make_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return make_models(tmp_path_factory.mktemp("models"), 2)


@pytest.fixture
def registry(models, tmp_path):
    for folder in models:
        add_version(folder, tmp_path / "registry")
    return tmp_path / "registry"


def versions(models):
    return [msgspec.json.decode((folder / "manifest.json").read_bytes())["version"] for folder in models]


def test_every_change_has_who_when_and_why(registry, models):
    first, second = versions(models)
    change_aliases(registry, lambda now: add_shadow(now, second), Cause(actor="retraining 7", reason="drift"))
    change_aliases(registry, lambda now: add_shadow(now, second), Cause(actor="nothing new"))
    change_aliases(registry, lambda now: promote(now, second), Cause(actor="model promote", reason="better"))
    put, shadow, promoted = read_audit(registry)
    assert (put.actor, put.before, put.after.champion) == ("model put", None, first)
    assert (shadow.actor, shadow.reason, shadow.after.shadows) == ("retraining 7", "drift", [second])
    assert (promoted.before.champion, promoted.after.champion) == (first, second)
    assert put.at_ms <= shadow.at_ms <= promoted.at_ms


def test_roles_changed_by_hand_or_before_a_crash_are_told_by_the_next_change(registry, models):
    first, second = versions(models)
    by_hand = Aliases(champion=second, previous=first)
    (registry / "aliases.json").write_bytes(msgspec.json.encode(by_hand))
    change_aliases(registry, roll_back, Cause(actor="model rollback"))
    _, unrecorded, rollback = read_audit(registry)
    assert (unrecorded.actor, unrecorded.before.champion, unrecorded.after) == ("unrecorded", first, by_hand)
    assert rollback.after.champion == first


def test_a_line_that_was_cut_off_is_replaced_and_a_damaged_one_is_named(registry, models):
    _, second = versions(models)
    path = registry / AUDIT_FILE
    path.write_bytes(path.read_bytes() + b'{"at_ms": 12')
    assert len(read_audit(registry)) == 1
    change_aliases(registry, lambda now: promote(now, second))
    assert [entry.actor for entry in read_audit(registry)] == ["model put", "a program"]
    path.write_bytes(b"nonsense\n")
    with pytest.raises(FraudsimError, match=r"audit.jsonl: line 1: .*move the file away"):
        read_audit(registry)


def test_a_registry_of_an_earlier_version_has_no_log_and_begins_one(registry, models):
    _, second = versions(models)
    (registry / AUDIT_FILE).unlink()
    assert read_audit(registry) == []
    change_aliases(registry, lambda now: promote(now, second), Cause(actor="model promote"))
    unrecorded, promoted = read_audit(registry)
    assert (unrecorded.before, promoted.after.champion) == (None, second)


def test_the_difference_of_two_versions_names_fields_of_manifest_and_lineage(registry, models):
    first, second = versions(models)
    lineage = Lineage(
        version=second, parent=first, data_fingerprint="f", from_ms=1, until_ms=2, transactions=3,
        known_frauds=4, parameters={"depth": 4.0}, code="1.0", trigger="period", gate={"difference": -2.0},
    )  # fmt: skip
    write_lineage(registry, lineage)
    assert read_lineage(registry, second) == lineage
    assert read_lineage(registry, first) is None
    changes = {change.field: (change.before, change.after) for change in differences(registry, first, second)}
    assert changes["version"] == (first, second)
    assert changes["lineage.trigger"] == ("", "period")
    assert not any(field.startswith(("sample", "features")) for field in changes)
    assert differences(registry, first, first) == []


def test_the_commands_show_both(registry, models, tmp_path):
    first, second = versions(models)

    def fraudsim(*words):
        result = CliRunner().invoke(build(), ["model", *words, "--at", str(registry)])
        assert result.exit_code == 0, result.output
        return result.output

    fraudsim("promote", second, "--reason", "it costs less")
    shown = fraudsim("audit")
    assert f"{second} nothing -> champion" in shown
    assert "; it costs less" in shown
    assert f"version: {first} -> {second}" in fraudsim("diff", first, second)
    shutil.rmtree(registry / "lineage", ignore_errors=True)
    assert "model_sha256" in fraudsim("diff", first[:6], second[:6])
