"""The local stack: a real Kafka and a real Redis as processes on this machine."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.process.disk import explain_disk_errors, require_free_disk
from fraudsim.settings import Settings, variable
from runner.stack import kafka_server, redis_server
from runner.stack.cds_archive import CdsArchive
from runner.stack.java import find_java
from runner.stack.kafka_jars import kafka_jars
from runner.stack.kafka_server import KafkaServer, kafka_answers
from runner.stack.lock import stack_lock
from runner.stack.ports import choose_port, free_port
from runner.stack.redis_server import RedisServer, find_redis, redis_answers
from runner.supervise.supervisor import Part, Supervisor

STACK_PARTS: Final = (kafka_server.NAME, redis_server.NAME)
"""The servers' names in the supervisor."""
_READY_S = 60.0
_PORT_ATTEMPTS = 3
_PORT_TAKEN = "address already in use"


@dataclass(frozen=True)
class StackAddresses:
    """Addresses of a stack's servers."""

    kafka_bootstrap: str
    redis_url: str
    """With the password: mask it where it is shown."""


@dataclass(frozen=True)
class Programs:
    """The programs that a stack runs, found or downloaded before any is started."""

    java: Path
    jars: tuple[Path, ...]
    redis: Path


class _PortTakenError(Exception):
    """The server could not listen on its port; another port may work."""


def environment(addresses: StackAddresses) -> dict[str, str]:
    """The environment variables that point a fraudsim process at the stack."""
    return {
        variable("kafka_bootstrap"): addresses.kafka_bootstrap,
        variable("redis_url"): addresses.redis_url,
    }


def find_programs(settings: Settings) -> Programs:
    """Find Java, Kafka's jars and a Redis server; download what the cache folder lacks.

    Raises:
        FraudsimError: a program is missing; the message says what to do.
    """
    return Programs(find_java(), tuple(kafka_jars(settings)), find_redis(settings))


def start_stack(
    directory: Path,
    settings: Settings,
    supervisor: Supervisor,
    *,
    fresh: bool = True,
    redis_appendonly: bool = False,
    lock: int | None = None,
) -> StackAddresses:
    """Start Kafka and Redis as parts of `supervisor` and return when both answer.

    Args:
        directory: folder of the stack's files.
        fresh: discard the files of an earlier stack in `directory`; else Kafka keeps its log.
        redis_appendonly: let Redis keep acknowledged writes over a restart.
        lock: descriptor from `stack_lock(directory)`; not needed if no other process uses the folder.

    Raises:
        FraudsimError: a program, port or disk space is missing, or a server ended or did not answer in time.
    """
    directory = directory.absolute()
    require_free_disk(directory)
    launcher = _Launcher(
        settings=settings,
        supervisor=supervisor,
        programs=find_programs(settings),
        env=_clean_environment(),
        pass_fds=() if lock is None else (lock,),
    )
    if fresh:
        _discard(directory / "redis")
        _discard(directory / "kafka")
    try:
        return StackAddresses(
            redis_url=launcher.start_redis(directory / "redis", redis_appendonly),
            kafka_bootstrap=launcher.start_kafka(directory / "kafka"),
        )
    except BaseException:
        for name in (kafka_server.NAME, kafka_server.FORMAT_NAME, redis_server.NAME):
            supervisor.stop(name)
        raise


@contextmanager
def stack(directory: Path, settings: Settings, *, fresh: bool = True) -> Iterator[StackAddresses]:
    """A stack in `directory` with its own supervisor, for the length of the block.

    Raises:
        FraudsimError: see `start_stack`; or another stack runs in the folder.
    """
    with stack_lock(directory) as lock, Supervisor(directory / "logs") as supervisor:
        yield start_stack(directory, settings, supervisor, fresh=fresh, lock=lock)


def _clean_environment() -> dict[str, str]:
    """This process's environment without the variables that change how a JVM starts, and with a UTF-8 locale.

    In another locale Java cannot open a path with a letter that the locale lacks.
    """
    unwanted = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _discard(directory: Path) -> None:
    if directory.exists():
        with explain_disk_errors(directory):
            shutil.rmtree(directory)


@dataclass(frozen=True)
class _Launcher:
    """Starts a server, waits until it answers, and retries on another port if its port was taken."""

    settings: Settings
    supervisor: Supervisor
    programs: Programs
    env: Mapping[str, str]
    pass_fds: tuple[int, ...]

    def start_redis(self, directory: Path, appendonly: bool) -> str:
        """Start Redis and wait until it answers; returns its URL."""

        def attempt(port: int) -> str:
            server = RedisServer(directory, self.programs.redis, port, appendonly)
            server.write_config()
            self._start_and_wait(server.part(self.env, self.pass_fds), lambda: redis_answers(server.url))
            return server.url

        return _with_port("redis_port", self.settings.redis_port, attempt)

    def start_kafka(self, directory: Path) -> str:
        """Start Kafka and wait until it answers; returns its bootstrap address.

        The storage is formatted first if it is new.
        """
        cds_archive = CdsArchive(
            self.settings.cache_dir.expanduser().absolute(),
            self.programs.java,
            self.programs.jars,
            directory / "classes.list",
            kafka_server.GC_FLAGS,
        )

        def attempt(port: int) -> str:
            server = KafkaServer(
                directory,
                self.programs.java,
                self.programs.jars,
                port,
                controller_port=free_port(exclude=port),
                heap_mb=self.settings.kafka_heap_mb,
                cds_archive=cds_archive,
            )
            server.write_config()
            if not server.is_formatted:
                self._run_to_end(server.format_part(self.env))
            part = server.part(self.env, self.pass_fds)
            self._start_and_wait(part, lambda: kafka_answers(server.bootstrap))
            self._make_cds_archive(server)
            return server.bootstrap

        return _with_port("kafka_port", self.settings.kafka_port, attempt)

    def _make_cds_archive(self, server: KafkaServer) -> None:
        part = server.cds_archive_part(self.env)
        if part is not None:
            self.supervisor.start(part)

    def _run_to_end(self, part: Part) -> None:
        self.supervisor.start(part)
        if self.supervisor.wait(part.name) != 0:
            raise FraudsimError(self._failure_reason(part.name))

    def _start_and_wait(self, part: Part, answers: Callable[[], bool]) -> None:
        first_pid = self.supervisor.start(part)

        def ready() -> bool:
            if self.supervisor.pid(part.name) != first_pid:
                self._fail(part.name)
            return answers()

        if not poll_until(ready, _READY_S):
            reason = self._failure_reason(part.name, f"does not answer after {_READY_S:.0f} s")
            self.supervisor.stop(part.name)
            raise FraudsimError(reason)

    def _fail(self, name: str) -> None:
        self.supervisor.stop(name)
        if any(_PORT_TAKEN in line.lower() for line in self.supervisor.last_output(name, 200)):
            raise _PortTakenError
        raise FraudsimError(self._failure_reason(name))

    def _failure_reason(self, name: str, failure: str = "ended instead of starting") -> str:
        lines = " | ".join(self.supervisor.last_output(name)) or "(it wrote nothing)"
        return f"{name} {failure}; see {self.supervisor.log(name)}: {lines}"


def _with_port(field: str, configured_port: int, attempt: Callable[[int], str]) -> str:
    """Call `attempt` with a port; again with another if a process took it before the server listened."""
    for _ in range(_PORT_ATTEMPTS):
        try:
            return attempt(choose_port(field, configured_port))
        except _PortTakenError:
            continue
    raise FraudsimError(f"every port tried was taken by another process: set {variable(field)} to a free one")
