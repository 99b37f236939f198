"""A small history of a made world, and a model trained on it; both made once."""

from pathlib import Path

import pytest

from fraudsim.settings import Settings
from model.artefact.files import load_model
from model.artefact.model import Model
from model.training.train import train_model
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World


@pytest.fixture(scope="session")
def small_settings() -> Settings:
    return Settings(_env_file=None, label_gap_days=7, seed=7)


@pytest.fixture(scope="session")
def small_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history")
    write_history(directory, World(WorldConfig(cards=600, seed=3, fraud_scale=6)), 40)
    return directory


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, small_history: Path, small_settings: Settings) -> Path:
    directory = tmp_path_factory.mktemp("models") / "model"
    train_model(small_history, directory, small_settings)
    return directory


@pytest.fixture(scope="session")
def model(trained: Path) -> Model:
    return load_model(trained)
