"""The engines that can fold the log: Faust, one process after another, and Spark, on a cluster."""

from typing import Final

from fraudsim.durations import duration_ms
from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings

FAUST: Final = "faust"
SPARK: Final = "spark"
TRIGGER: Final = "1s"
SHORTEST_MS: Final = 100
"""Of a trigger: a batch takes some tenths of a second."""
LONGEST_MS: Final = 3_600_000


def trigger_ms(text: str) -> int:
    """The interval of Spark's batches.

    Raises:
        FraudsimError: it is no duration, or out of bounds.
    """
    try:
        interval_ms = duration_ms(text)
    except FraudsimError as error:
        raise FraudsimError(f"--trigger: {error}") from None
    if not SHORTEST_MS <= interval_ms <= LONGEST_MS:
        raise FraudsimError(f"--trigger {text}: give 0.1s to 60m")
    return interval_ms


def check_engine(engine: str, trigger: str | None, master: str | None = None) -> None:
    """
    Raises:
        FraudsimError: there is no such engine, or an option is not its.
    """
    if engine not in (FAUST, SPARK):
        raise FraudsimError(f"--engine {engine}: give {FAUST} or {SPARK}")
    for option, value in (("--trigger", trigger), ("--master", master)):
        if engine == FAUST and value is not None:
            raise FraudsimError(f"{option} {value} is Spark's: give --engine {SPARK} with it")
    trigger_ms(trigger or TRIGGER)


def run_engine(settings: Settings, engine: str, trigger: str | None, master: str | None) -> None:
    """Run a worker of an engine until a signal.

    Raises:
        FraudsimError: an option does not fit, or the engine cannot run here.
    """
    check_engine(engine, trigger, master)
    if engine == FAUST:
        from stream_features.worker.app import run_worker

        run_worker(settings)
        return
    from stream_features.worker.spark.connector import check_pyspark

    check_pyspark()  # before what imports it
    from stream_features.worker.spark.session import SparkOptions
    from stream_features.worker.spark.worker import run_spark_worker

    run_spark_worker(settings, SparkOptions(trigger_ms(trigger or TRIGGER), master))
