"""The mark of tests that need Spark, with the reason where it cannot run here."""

import importlib.util

import pytest

from fraudsim.errors import FraudsimError
from stream_features.offline.spark_java import spark_java


def _obstacle():
    """Why Spark cannot run here; empty where it can."""
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed: make setup-spark"
    try:
        spark_java()
    except FraudsimError as error:
        return str(error)
    return ""


_OBSTACLE = _obstacle()
needs_spark = pytest.mark.skipif(bool(_OBSTACLE), reason=_OBSTACLE)
