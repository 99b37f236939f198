"""A prepared run (history and model) that the line's tests take over."""

from pathlib import Path

import pytest

from fraudsim.settings import Settings
from producers.history.writer import write_history
from producers.world.config import WorldConfig
from producers.world.world import World

CARDS = 800
DAYS = 50


@pytest.fixture(scope="session")
def line_settings() -> Settings:
    return Settings(_env_file=None, label_gap_days=7)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of these tests are about exact features: on a busy machine too, they are worth waiting for."""
    monkeypatch.setenv("FRAUDSIM_DEADLINE_MS", "1000")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, line_settings: Settings) -> Path:
    """A folder with `history` and `model`, as an earlier run leaves it."""
    from model.training.train import train_model

    folder = tmp_path_factory.mktemp("prepared")
    write_history(folder / "history", World(WorldConfig(cards=CARDS, seed=11)), DAYS)
    train_model(folder / "history", folder / "model", line_settings)
    return folder
