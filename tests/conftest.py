"""What all rooms' tests share: one real Kafka and Redis, started when the first test asks for them."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from fraudsim.settings import Settings, load_settings
from runner.stack.stack import StackAddresses
from runner.stack.stack import stack as start


def pytest_configure(config: pytest.Config) -> None:
    """Repeatable examples unless long tests are asked for; a Ctrl-C that reaches what tests start.

    `make test` must say the same of the same code each time; new examples are `make test-long`'s business.
    A shell's background job ignores Ctrl-C, what `nohup` starts a hang-up, and so would every process started
    from here.
    """
    settings.register_profile("repeatable", derandomize=True)
    if config.option.markexpr == "not long" and not config.getoption("--hypothesis-profile"):
        settings.load_profile("repeatable")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole lines first: at the end, two processes share many short files more evenly than few long ones."""
    items.sort(key=lambda item: "line" not in item.path.parts)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddresses]:
    """A real Kafka and Redis for the whole session: `.kafka_bootstrap`, `.redis_url`."""
    folder: Path = tmp_path_factory.mktemp("stack")
    with start(folder, Settings(_env_file=None)) as addresses:
        yield addresses


@pytest.fixture(autouse=True)
def settings_read_anew() -> None:
    """A process reads its settings once; here each test is a process of its own in that."""
    load_settings.cache_clear()
