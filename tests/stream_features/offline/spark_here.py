"""Whether Spark can run here."""

import importlib.util

import pytest

from fraudsim.errors import FraudsimError
from stream_features.offline.spark_java import spark_java


def _why_not():
    """Why it cannot; empty where it can."""
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed: make setup-spark"
    try:
        spark_java()
    except FraudsimError as error:
        return str(error)
    return ""


_WHY_NOT = _why_not()
needs_spark = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)
