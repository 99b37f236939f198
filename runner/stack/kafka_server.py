"""One Kafka broker on the loopback: configuration, processes, and a probe."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fraudsim.process.disk import explain_disk_errors
from fraudsim.whole_files import write_whole
from runner.stack.cds_archive import CdsArchive
from runner.stack.ports import HOST
from runner.supervise.supervisor import Part

NAME = "kafka"
FORMAT_NAME = "kafka-format"
_CLUSTER_ID = "fraudsimAAAAAAAAAAAAAA"
_NODE_ID = 1
_FILE = "server.properties"

# Paths are relative to the folder, which is the working directory: the file is Latin-1, a backslash in it
# escapes, and a comma in log.dirs separates folders.

# broker.session.timeout.ms: after kill -9 the controller readmits the broker only when its previous session
# has expired; the default of 9 s would be most of a restart.
# log.index.*: an index file of the default 10 MB is sparse and memory-mapped. Its first page fault reads far
# ahead and cost 20 ms, 32 times in the first second of a run. With 128 kB and an entry every 32 kB, an index
# is full after some 350 MB of log.
# The other small numbers keep the start short and the memory low on one node.
_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={node}@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
num.partitions=4
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=4
background.threads=2
num.recovery.threads.per.data.dir=1
log.index.size.max.bytes=131072
log.index.interval.bytes=32768
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
"""

# As in Kafka's own scripts. The serial collector paused for 100 ms here, this one for 40 ms.
GC_FLAGS = ("-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:MetaspaceSize=96m")
_JVM_FLAGS = (
    *GC_FLAGS,
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:+PerfDisableSharedMem",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


@dataclass(frozen=True)
class KafkaServer:
    """A single KRaft node (broker and controller) with its files in `directory`."""

    directory: Path
    java: Path
    jars: tuple[Path, ...]
    port: int
    controller_port: int
    heap_mb: int
    cds_archive: CdsArchive

    @property
    def bootstrap(self) -> str:
        """The address for clients, host:port."""
        return f"{HOST}:{self.port}"

    @property
    def is_formatted(self) -> bool:
        """Whether the storage is formatted already; its log is then kept."""
        return (self.directory / "data" / "meta.properties").exists()

    def write_config(self) -> None:
        """Make the folders and write `server.properties`.

        Raises:
            FraudsimError: the disk is full, or the folder cannot be written to.
        """
        with explain_disk_errors(self.directory):
            (self.directory / "tmp").mkdir(parents=True, exist_ok=True)
            properties = _PROPERTIES.format(
                host=HOST, node=_NODE_ID, port=self.port, controller_port=self.controller_port
            )
            write_whole(self.directory / _FILE, properties)

    def format_part(self, env: Mapping[str, str]) -> Part:
        """The process that formats the storage, needed once before the first start."""
        tool = ["kafka.tools.StorageTool", "format"]
        arguments = [*tool, "--cluster-id", _CLUSTER_ID, "--config", _FILE]
        cds_flags = [] if self.cds_archive.missing else self.cds_archive.flags()
        command = self._command(128, ["-XX:TieredStopAtLevel=1", *cds_flags, *arguments])
        return Part(FORMAT_NAME, command, dict(env), restart=False, cwd=self.directory)

    def part(self, env: Mapping[str, str], pass_fds: tuple[int, ...] = ()) -> Part:
        """The broker's process."""
        command = self._command(self.heap_mb, [*self.cds_archive.flags(), "kafka.Kafka", _FILE])
        return Part(NAME, command, dict(env), stop_timeout_s=20.0, pass_fds=pass_fds, cwd=self.directory)

    def cds_archive_part(self, env: Mapping[str, str]) -> Part | None:
        """The process that makes the CDS archive, to be started after the broker; None if one exists."""
        return self.cds_archive.part(env) if self.cds_archive.missing else None

    def _command(self, heap_mb: int, arguments: list[str]) -> list[str]:
        class_path = os.pathsep.join(str(jar) for jar in self.jars)
        flags = [
            f"-Xmx{heap_mb}m",
            *_JVM_FLAGS,
            "-Djava.io.tmpdir=tmp",
            "-XX:ErrorFile=hs_err_%p.log",
        ]
        return [str(self.java), *flags, "-cp", class_path, *arguments]


def kafka_answers(bootstrap: str, timeout_s: float = 2.0) -> bool:
    """Whether a Kafka answers at `bootstrap`: ApiVersions, and metadata with a broker and a controller."""
    import logging

    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    if not _accepts_connection(bootstrap, timeout_s):
        return False
    timeout_ms = int(timeout_s * 1000)
    # The client logs every refused connection as an error; here that is an expected answer.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            request_timeout_ms=timeout_ms,
            bootstrap_timeout_ms=timeout_ms,
        )
    except (KafkaError, OSError):
        return False
    try:
        cluster = client.describe_cluster()
        return bool(cluster["brokers"]) and cluster["controller_id"] >= 0
    except (KafkaError, OSError):
        return False
    finally:
        client.close()


def _accepts_connection(address: str, timeout_s: float) -> bool:
    import socket

    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout_s):
            return True
    except OSError:
        return False
