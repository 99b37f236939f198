"""What folds the log, and its processes on a rig."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraudsim.errors import InvariantError
from fraudsim.polling import poll_until
from load_tests.benches.worker.worker_rig import WorkerRig
from stream_features.engines import trigger_ms
from testing.rigs.spark_cluster import SparkCluster, spark_cluster

READY_S: Final = 300.0


@dataclass(frozen=True)
class Contestant:
    """What folds the log."""

    name: str
    workers: int = 1
    trigger: str | None = None
    """Of Spark."""
    executors: int = 0
    """Of a standalone cluster, one core each; 0: all in the driver's JVM, or Faust."""

    @property
    def word(self) -> str:
        """The name of its processes and folders."""
        return "-".join(self.name.replace(",", "").split())

    @property
    def trigger_s(self) -> float:
        """The interval of its batches; 0 for Faust."""
        return trigger_ms(self.trigger) / 1000 if self.trigger else 0.0

    def options(self, cluster: SparkCluster | None) -> list[str]:
        """The options of `fraudsim worker`."""
        if self.trigger is None:
            return []
        master = ["--master", cluster.url] if cluster is not None else []
        return ["--engine", "spark", "--trigger", self.trigger, *master]


FOLDING: Final = (
    Contestant("faust, 1 worker"),
    Contestant("faust, 2 workers", workers=2),
    Contestant("faust, 4 workers", workers=4),
    Contestant("spark, in one JVM", trigger="1s"),
    Contestant("spark, 1 executor", trigger="1s", executors=1),
    Contestant("spark, 2 executors", trigger="1s", executors=2),
)
FRESH: Final = (
    Contestant("faust"),
    Contestant("spark, 0.5 s", trigger="0.5s"),
    Contestant("spark, 1 s", trigger="1s"),
    Contestant("spark, 5 s", trigger="5s"),
    Contestant("spark, 60 s", trigger="60s"),
)


@contextmanager
def waiting_workers(rig: WorkerRig, contestant: Contestant, folder: Path) -> Iterator[list[str]]:
    """A contestant's workers, which wait for slots to be primed. Yields their names.

    Raises:
        InvariantError: they do not get ready.
    """
    rig.redis.delete(*rig.redis.keys("{s*}:*"))
    names = [f"{contestant.word}-{number}" for number in range(contestant.workers)]
    scratch = folder / contestant.word
    cluster = spark_cluster(scratch, contestant.executors) if contestant.executors else nullcontext()
    with cluster as running:
        try:
            for name in names:
                rig.start_worker(name, contestant.options(running))
            if not poll_until(lambda: _all_wait(rig, names), READY_S, every_s=0.2):
                raise InvariantError(f"{contestant.name} is not ready within {READY_S:g} s")
            rig.spark = running
            yield names
        finally:
            rig.spark = None
            for name in names:
                rig.stop_worker(name)


def _all_wait(rig: WorkerRig, names: Sequence[str]) -> bool:
    """Whether every worker has said that its slots are not primed, and Faust workers have equal shares."""
    if not all("slots_not_primed" in rig.output(name) for name in names):
        return False
    return len(names) == 1 or all(
        len(rig.slots_of(name)) == rig.settings.slots // len(names) for name in names
    )
