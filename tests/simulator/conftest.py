"""A run of an earlier version, whose model decides, and a small world with much fraud."""

import tarfile
from pathlib import Path

import pytest

from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World

ARCHIVE = Path(__file__).parents[1] / "formats" / "earlier_run.tar.xz"


@pytest.fixture(scope="session")
def earlier_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fast-forward") / "run"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fast-forward") / "history"
    write_history(folder, World(WorldConfig(cards=300, seed=11, fraud_scale=6)), 35)
    return folder
