"""The Spark session of the worker's driver."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fraudsim.errors import FraudsimError
from stream_features.offline.spark_java import spark_java

MEMORY: Final = "1g"
"""Heap of the driver, and of an executor: records do not pass through them, their rows do."""
DAEMON: Final = "stream_features.worker.spark.python_daemon"


@dataclass(frozen=True)
class SparkOptions:
    """The options of `fraudsim worker --engine spark`."""

    trigger_ms: int
    """Interval of the batches."""
    master: str | None = None
    """Spark's master; None for that of `spark-submit`, or this machine's cores."""


def open_session(options: SparkOptions, jars: Sequence[Path], scratch: Path) -> Any:
    """A session on a cluster, or on this machine's cores.

    What `spark-submit` or spark-defaults.conf set stands.

    Args:
        jars: the connector's.
        scratch: a folder of this process, for Spark's temporary files.

    Raises:
        FraudsimError: no Java here can run Spark, or Spark does not start.
    """
    spark_java()
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    conf = SparkConf()
    defaults = {
        "spark.app.name": "fraudsim worker",
        "spark.master": "local[*]",
        "spark.jars": ",".join(map(str, jars)),
        "spark.driver.memory": MEMORY,
        "spark.executor.memory": MEMORY,
        "spark.executor.cores": "1",  # one Python process each, which goes on with its partitions
        "spark.pyspark.python": sys.executable,
        "spark.python.daemon.module": DAEMON,
        "spark.local.dir": str(scratch),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
    }
    for name, value in defaults.items():
        conf.setIfMissing(name, value)
    if options.master is not None:
        conf.setMaster(options.master)
    if conf.get("spark.master", "").startswith("local"):
        # Reachable from this machine alone; and no other could take over when this one was asleep.
        conf.setIfMissing("spark.driver.host", "127.0.0.1")
        conf.setIfMissing("spark.driver.bindAddress", "127.0.0.1")
        conf.setIfMissing("spark.network.timeout", "3600s")
        conf.setIfMissing("spark.executor.heartbeatInterval", "60s")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        return SparkSession.builder.config(conf=conf).getOrCreate()
    except Exception as error:  # py4j's, PySpark's: any
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise FraudsimError(
            f"Spark does not start on {conf.get('spark.master')} ({reason.strip()[:300]}): see the lines "
            "above, and check the master's address"
        ) from None
