"""A run with a registry, as a line has left it."""

import tarfile

import pytest

from tests.lifecycle.conftest import ARCHIVE


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder
