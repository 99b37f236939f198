"""A prepared run (history and model) that the line's tests reuse."""

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
def long_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the deadline: most of these tests need exact features, also on a busy machine."""
    monkeypatch.setenv("FRAUDSIM_DEADLINE_MS", "1000")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, line_settings: Settings) -> Path:
    """A folder with `history` and `model`, like an earlier run's."""
    from model.training.train import train_model

    folder = tmp_path_factory.mktemp("prepared")
    write_history(folder / "history", World(WorldConfig(cards=CARDS, seed=11)), DAYS)
    train_model(folder / "history", folder / "model", line_settings)
    return folder
