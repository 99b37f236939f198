"""A standalone Spark cluster on this machine: a master, and workers with one core and one executor each."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from fraudsim.polling import poll_until
from runner.stack.ports import free_port
from runner.supervise.supervisor import Part, Supervisor

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
START_S = 120.0


@dataclass(frozen=True)
class SparkCluster:
    """A running cluster."""

    url: str
    """The master's, for `--master`."""
    supervisor: Supervisor
    workers: tuple[str, ...]

    def executors(self) -> list[psutil.Process]:
        """The executors' JVMs."""
        executors = []
        for name in self.workers:
            pid = self.supervisor.pid(name)
            children = psutil.Process(pid).children(recursive=True) if pid is not None else []
            executors += [child for child in children if EXECUTOR in " ".join(child.cmdline())]
        return executors

    def kill_executor(self) -> int:
        """Kill -9 one executor; returns its pid."""
        executor = self.executors()[0]
        os.kill(executor.pid, signal.SIGKILL)
        return executor.pid


@contextmanager
def spark_cluster(folder: Path, workers: int = 2) -> Iterator[SparkCluster]:
    """A cluster for the length of the block; PySpark and its Java must be there."""
    import pyspark

    home = Path(pyspark.__file__).parent
    port = free_port()
    env = {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    spark_class = str(home / "bin" / "spark-class")
    names = tuple(f"spark-worker-{number}" for number in range(workers))
    with Supervisor(folder / "spark-logs") as supervisor:
        url = f"spark://127.0.0.1:{port}"
        where = ["--host", "127.0.0.1", "--webui-port", "0"]
        master = [spark_class, MASTER, *where, "--port", str(port)]
        supervisor.start(Part("spark-master", master, env, restart=False))
        for name in names:
            scratch = folder / name
            argv = [spark_class, WORKER, *where, "--cores", "1", "--memory", "1g", "--work-dir", str(scratch)]
            supervisor.start(Part(name, [*argv, url], env, restart=False))
        log = folder / "spark-logs" / "spark-master.log"

        def registered() -> bool:
            return log.exists() and log.read_text().count("Registering worker") >= workers

        if not poll_until(registered, START_S):
            raise RuntimeError(f"the Spark cluster did not start: {log.read_text()[-2000:]}")
        yield SparkCluster(url, supervisor, names)
