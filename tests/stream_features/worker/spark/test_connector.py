"""The jars of Spark's connector: what is missing, changed or foreign is named."""

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from stream_features.worker.spark import connector
from stream_features.worker.spark.connector import SPARK_VERSION, connector_jars

FIRST = "commons-pool2-2.13.1.jar"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(connector, "version", lambda _: SPARK_VERSION)
    (tmp_path / f"spark-kafka-{SPARK_VERSION}").mkdir()
    return Settings(_env_file=None, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("jar", "message"),
    [
        (None, f"{FIRST} is missing"),
        (FIRST, f"{FIRST} has SHA-256 [0-9a-f]{{64}}, not the committed f77a5060"),
        ("more.jar", "more.jar is not among the committed jars"),
    ],
)
def test_jars_that_are_not_the_committed_ones_are_named_with_their_folder(settings, jar, message):
    folder = settings.cache_dir / f"spark-kafka-{SPARK_VERSION}"
    if jar is not None:
        (folder / jar).write_bytes(b"another jar")
    with pytest.raises(FraudsimError, match=f"{folder}/{message}.*: delete the folder {folder}"):
        connector_jars(settings)
