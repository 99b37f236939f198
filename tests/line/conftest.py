"""A prepared run (history and model) that the line's tests take over, and a way to run a line."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fraudsim import topics
from fraudsim.settings import Settings
from producers.history import write_history
from producers.world import World, WorldConfig
from runner.demo import sum_up
from runner.line import Line, LineOptions
from runner.observer import Observer

CARDS = 800
DAYS = 50


@pytest.fixture(scope="session")
def line_settings() -> Settings:
    return Settings(_env_file=None, label_gap_days=7)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, line_settings: Settings) -> Path:
    """A folder with `history` and `model`, as an earlier run leaves it."""
    from model.train import train_model

    folder = tmp_path_factory.mktemp("prepared")
    write_history(folder / "history", World(WorldConfig(cards=CARDS, seed=11)), DAYS)
    train_model(folder / "history", folder / "model", line_settings)
    return folder


@contextmanager
def running_line(options: LineOptions, settings: Settings) -> Iterator[tuple[Line, Observer]]:
    """A line with traffic flowing."""
    with Line(options, settings) as line:
        line.prepare()
        line.start_line()
        with Observer(line.settings, topics.DECISIONS) as observer:
            line.start_producer()
            yield line, observer


def finish(line: Line, observer: Observer, started: float) -> None:
    """Wait for the producer's end and for everything to be decided, folded and archived."""
    line.wait_for("the producer", lambda: line.done("producer"), 120)
    line.drain(observer.tally)


def run_line(
    options: LineOptions,
    settings: Settings,
    meanwhile: Callable[[Line, Observer], None] = lambda line, observer: None,
    before_close: Callable[[Line], None] = lambda line: None,
) -> dict[str, Any]:
    """A whole run; `meanwhile` is called while the traffic flows, `before_close` once all is folded."""
    started = time.monotonic()
    with running_line(options, settings) as (line, observer):
        meanwhile(line, observer)
        finish(line, observer, started)
        before_close(line)
        return sum_up(line, time.monotonic() - started, observer.tally.latencies_ms, [])


def wait_until_seen(line: Line, observer: Observer, count: int) -> None:
    line.wait_for(f"{count} decisions", lambda: observer.tally.seen >= count, 60)
