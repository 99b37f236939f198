"""What all rooms' tests share: one real Kafka and Redis, started when the first test asks for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudsim.settings import Settings
from runner.stack import StackAddresses
from runner.stack import stack as start


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddresses]:
    """A real Kafka and Redis for the whole session: `.kafka_bootstrap`, `.redis_url`."""
    folder: Path = tmp_path_factory.mktemp("stack")
    with start(folder, Settings(_env_file=None)) as addresses:
        yield addresses
