"""Spark's daemon of Python processes, with what every task imports: they are forked from it.

Spark ends processes that were idle for a minute; a fork that has all modules takes milliseconds.
"""

import pyspark.daemon

import stream_features.worker.spark.executor_process  # noqa: F401
from stream_features.kernels.state import warm_up_kernel

if __name__ == "__main__":
    warm_up_kernel()
    pyspark.daemon.manager()
