"""A watched registry: roles are taken, kept warm, refused and split over the cards; without a scorer."""

import asyncio
import json
import shutil
import time

import pytest

from fraudsim import metrics
from fraudsim.errors import FraudsimError
from model.registry import aliases as roles
from model.registry.versions import add_version, change_aliases, folder_of
from scorer.models import served as served_model
from scorer.models.served import ServedModel
from testing.samples.small_models import make_models


class Log:
    def __init__(self):
        self.entries = []

    def info(self, event, **fields):
        self.entries.append((event, fields.get("version") or fields.get("reason")))

    error = warning = info


@pytest.fixture(scope="module")
def model_dirs(tmp_path_factory):
    return make_models(tmp_path_factory.mktemp("made"), 4)


@pytest.fixture(scope="module")
def filled_registry(model_dirs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("filled") / "models"
    for each in model_dirs:
        add_version(each, folder)
    return folder


@pytest.fixture
def registry(filled_registry, tmp_path):
    return shutil.copytree(filled_registry, tmp_path / "models")


@pytest.fixture
def versions(model_dirs):
    return [json.loads((folder / "manifest.json").read_text())["version"] for folder in model_dirs]


def counted(outcome):
    return metrics.MODEL_CHANGES.labels(outcome)._value.get()


def active():
    samples = [s for metric in metrics.MODEL_ROLE.collect() for s in metric.samples]
    return {(s.labels["version"], s.labels["role"]) for s in samples}


async def refreshed(served):
    served.refresh()
    await served.await_loaded()


def cards_of(served_roles):
    return {version: {c for c in range(2_000) if served_roles.model_for(f"c{c}").version == version}
            for version in (model.version for model, _ in served_roles.by_model())}  # fmt: skip


def test_roles_are_taken_up_and_given_up_as_the_aliases_say(registry, versions):
    async def scene():
        first, second, third, fourth = versions
        served, before = ServedModel(registry, Log()), counted("served")
        await refreshed(served)
        assert (counted("served"), served.previous) == (before, None)
        change_aliases(registry, lambda now: roles.add_challenger(now, second, 0.2, "salt"))
        change_aliases(registry, lambda now: roles.add_shadow(now, third))
        await refreshed(served)
        now_served = served.roles
        assert [(m.version, r) for m, r in now_served.by_model()] == [
            (first, "champion"), (second, "challenger"), (third, "shadow")
        ]  # fmt: skip
        assert active() == {(first, "champion"), (second, "challenger"), (third, "shadow")}
        challenger_cards = cards_of(now_served)[second]
        assert 300 < len(challenger_cards) < 500
        assert challenger_cards == {c for c in range(2_000) if roles.bucket_of(f"c{c}", "salt") < 2_000}
        change_aliases(registry, lambda now: roles.promote(now, fourth))
        change_aliases(registry, lambda now: roles.remove(now, third))
        await refreshed(served)
        assert (served.model.version, served.previous.version) == (fourth, first)
        assert cards_of(served.roles)[second] == challenger_cards
        assert set(served._loaded) == {first, second, fourth}

    asyncio.run(scene())


def test_a_rollback_needs_no_loading(registry, versions, monkeypatch):
    async def scene():
        served = ServedModel(registry, Log())
        change_aliases(registry, lambda now: roles.promote(now, versions[1]))
        await refreshed(served)
        monkeypatch.setattr(served_model, "load_model", lambda *_: pytest.fail("it loads"))
        for expected in (versions[0], versions[1]):
            change_aliases(registry, roles.roll_back)
            served.refresh()
            assert served.model.version == expected

    asyncio.run(scene())


def test_while_a_model_is_loaded_the_others_serve_and_a_rollback_does_not_wait(
    registry, versions, monkeypatch
):
    load = served_model.load_model

    def slowly(*which):
        time.sleep(0.3)
        return load(*which)

    async def scene():
        served = ServedModel(registry, Log())
        change_aliases(registry, lambda now: roles.promote(now, versions[1]))
        await refreshed(served)
        monkeypatch.setattr(served_model, "load_model", slowly)
        change_aliases(registry, lambda now: roles.promote(now, versions[2]))
        served.refresh()
        turns = 0
        while served._loading is not None and turns < 5:
            assert served.model.version == versions[1]
            turns += 1
            await asyncio.sleep(0.01)
        assert turns == 5
        change_aliases(registry, roles.roll_back)
        served.refresh()
        assert served._loading is not None
        assert served.model.version == versions[1]
        change_aliases(registry, roles.roll_back)
        await refreshed(served)
        assert served.model.version == versions[2]

    asyncio.run(scene())


def test_a_version_that_fails_its_checks_is_refused_once_and_tried_again_when_it_is_mended(
    registry, versions
):
    async def scene():
        served, before = ServedModel(registry, Log()), counted("refused")
        manifest = folder_of(registry, versions[1]) / "manifest.json"
        good = manifest.read_bytes()
        document = json.loads(good)
        manifest.write_text(json.dumps(document | {"catalogue_hash": "0123456789abcdef"}))
        change_aliases(registry, lambda now: roles.add_challenger(now, versions[2], 0.5))
        change_aliases(registry, lambda now: roles.promote(now, versions[1]))
        for _ in range(3):
            await refreshed(served)
        assert (served.model.version, counted("refused")) == (versions[0], before + 1)
        challengers = [challenger.model.version for challenger in served.roles.challengers]
        assert challengers == [versions[2]]  # not affected
        ((_, reason),) = [entries for entries in served._log.entries if entries[0] == "model_refused"]
        assert "catalogue_hash='0123456789abcdef', this program has" in reason
        manifest.write_bytes(good)
        await refreshed(served)
        assert served.model.version == versions[1]

    asyncio.run(scene())


def test_what_a_folder_s_name_does_not_promise_is_refused(registry, versions, model_dirs):
    async def scene():
        served = ServedModel(registry, Log())
        shutil.rmtree(folder_of(registry, versions[1]))
        shutil.copytree(model_dirs[2], folder_of(registry, versions[1]))
        change_aliases(registry, lambda now: roles.promote(now, versions[1]))
        await refreshed(served)
        assert served.model.version == versions[0]
        assert f"it holds version {versions[2]}" in served._log.entries[-1][1]

    asyncio.run(scene())


def test_an_alias_file_that_cannot_be_read_changes_nothing_and_is_said_once(registry, versions):
    async def scene():
        served, before = ServedModel(registry, Log()), counted("refused")
        good = (registry / "aliases.json").read_bytes()
        for spoilt in (b"{", None):
            if spoilt is None:
                (registry / "aliases.json").unlink()
            else:
                (registry / "aliases.json").write_bytes(spoilt)
            for _ in range(3):
                await refreshed(served)
            assert served.model.version == versions[0]
        assert counted("refused") == before + 2
        (registry / "aliases.json").write_bytes(good)
        change_aliases(registry, lambda now: roles.promote(now, versions[1]))
        await refreshed(served)
        assert served.model.version == versions[1]

    asyncio.run(scene())


def test_a_single_model_s_folder_is_watched_too(model_dirs, versions, tmp_path):
    async def scene():
        folder = tmp_path / "model"
        shutil.copytree(model_dirs[0], folder)
        served = ServedModel(folder, Log())
        await refreshed(served)
        shutil.rmtree(folder)
        shutil.copytree(model_dirs[1], folder)
        await refreshed(served)
        assert served.model.version == versions[1]
        assert served._log.entries == [("model_served", versions[1])]
        assert len(served._loaded) == 1

    asyncio.run(scene())


def test_without_a_champion_that_can_be_served_there_is_no_start(registry, versions, tmp_path):
    (folder_of(registry, versions[0]) / "model.ubj").write_bytes(b"cut")
    with pytest.raises(FraudsimError, match=r"model_sha256"):
        ServedModel(registry, Log())
    with pytest.raises(FraudsimError, match=r"`fraudsim train --out .*` makes one"):
        ServedModel(tmp_path / "none", Log())
