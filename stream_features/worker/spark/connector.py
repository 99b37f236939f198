"""Spark's connector to Kafka: jars of the release that the installed PySpark has."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.jars.maven_jars import ensure_jars
from fraudsim.jars.pins import read_pins
from fraudsim.settings import Settings

SPARK_VERSION: Final = "4.2.0"
ROOT: Final = f"org.apache.spark:spark-sql-kafka-0-10_2.13:{SPARK_VERSION}"
PINS: Final = Path(__file__).with_name("connector_jars.sha256")
"""What `ROOT` needs beside the jars that come with PySpark."""


def connector_jars(settings: Settings) -> list[Path]:
    """The verified jars of the connector; the first call downloads 10 MB into the cache folder.

    Raises:
        FraudsimError: PySpark is missing or of another version; or see `ensure_jars`.
    """
    check_pyspark()
    folder = settings.cache_dir.expanduser().absolute() / f"spark-kafka-{SPARK_VERSION}"
    return ensure_jars(read_pins(PINS), folder, f"Spark's connector to Kafka {SPARK_VERSION}")


def check_pyspark() -> None:
    """
    Raises:
        FraudsimError: PySpark is missing, or its version is not the connector's.
    """
    try:
        installed = version("pyspark")
    except PackageNotFoundError:
        raise FraudsimError(
            "--engine spark: PySpark is not installed: run `make setup-spark`, or use --engine faust"
        ) from None
    if installed != SPARK_VERSION:
        raise FraudsimError(
            f"--engine spark: PySpark {installed} is installed, the connector to Kafka is of "
            f"{SPARK_VERSION}: run `make setup-spark`"
        )
