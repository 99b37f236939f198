"""A small world with much fraud, and models that decide in it."""

import tarfile
from pathlib import Path

import pytest

from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World
from testing.samples.small_models import make_models

ARCHIVE = Path(__file__).parents[1] / "formats" / "earlier_run.tar.xz"


@pytest.fixture(scope="session")
def world_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lifecycle") / "history"
    write_history(folder, World(WorldConfig(cards=400, seed=11, fraud_scale=2)), 45)
    return folder


@pytest.fixture(scope="session")
def good_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on another world."""
    folder = tmp_path_factory.mktemp("lifecycle") / "run"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "model"


@pytest.fixture(scope="session")
def poor_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes every large amount for fraud."""
    (folder,) = make_models(tmp_path_factory.mktemp("poor"), 1)
    return folder
