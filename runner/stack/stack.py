"""The local stack: a real Kafka and a real Redis as processes on this machine, ready when it says so."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import Settings, variable
from runner.disk import explain_disk_errors, require_free_disk
from runner.stack import kafka_server, redis_server
from runner.stack.cds_archive import CdsArchive
from runner.stack.java import find_java
from runner.stack.kafka_jars import kafka_jars
from runner.stack.kafka_server import KafkaServer, kafka_answers
from runner.stack.lock import stack_lock
from runner.stack.ports import choose_port, free_port
from runner.stack.redis_binary import find_redis
from runner.stack.redis_server import RedisServer, redis_answers
from runner.supervise.supervisor import Part, Supervisor

_READY_S = 60.0
_PORT_ATTEMPTS = 3
_PORT_TAKEN = "address already in use"


@dataclass(frozen=True)
class StackAddresses:
    """Where the servers of a stack listen."""

    kafka_bootstrap: str
    redis_url: str


@dataclass(frozen=True)
class Programs:
    """What a stack runs, found and downloaded before anything is started."""

    java: Path
    jars: tuple[Path, ...]
    redis: Path


class _PortTakenError(Exception):
    """The server could not listen; another port may do."""


def environment(addresses: StackAddresses) -> dict[str, str]:
    """The variables that point every fraudsim process at the stack."""
    return {
        variable("kafka_bootstrap"): addresses.kafka_bootstrap,
        variable("redis_url"): addresses.redis_url,
    }


def find_programs(settings: Settings) -> Programs:
    """Find Java, Kafka's jars and a Redis server, downloading what the cache folder lacks.

    Raises:
        FraudsimError: something is missing; the message says what to do.
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

    `fresh` throws away what an earlier stack left in `directory`; else Kafka keeps its log. `lock` is what
    `stack_lock(directory)` gave; a caller that never shares the folder needs none.

    Raises:
        FraudsimError: a program, port or disk space is missing, or a server ended or did not answer in time.
    """
    directory = directory.absolute()
    require_free_disk(directory)
    launch = _Launch(
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
            redis_url=launch.redis(directory / "redis", redis_appendonly),
            kafka_bootstrap=launch.kafka(directory / "kafka"),
        )
    except BaseException:
        for name in (kafka_server.NAME, kafka_server.FORMAT_NAME, redis_server.NAME):
            supervisor.stop(name)
        raise


@contextmanager
def stack(directory: Path, settings: Settings, *, fresh: bool = True) -> Iterator[StackAddresses]:
    """A stack of its own in `directory`, with a supervisor of its own, for the length of the block.

    Raises:
        FraudsimError: as `start_stack`, or another stack runs in the folder.
    """
    with stack_lock(directory) as lock, Supervisor(directory / "logs") as supervisor:
        yield start_stack(directory, settings, supervisor, fresh=fresh, lock=lock)


def _clean_environment() -> dict[str, str]:
    """This process's environment less what would change how a JVM or a Redis starts."""
    unwanted = ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def _discard(directory: Path) -> None:
    if directory.exists():
        with explain_disk_errors(directory):
            shutil.rmtree(directory)


@dataclass(frozen=True)
class _Launch:
    """What the start of either server needs."""

    settings: Settings
    supervisor: Supervisor
    programs: Programs
    env: Mapping[str, str]
    pass_fds: tuple[int, ...]

    def redis(self, directory: Path, appendonly: bool) -> str:
        """Start Redis; returns its URL when it answers."""

        def attempt(port: int) -> str:
            server = RedisServer(directory, self.programs.redis, port, appendonly)
            server.write_config()
            self._start_and_wait(server.part(self.env, self.pass_fds), lambda: redis_answers(server.url))
            return server.url

        return _with_port("redis_port", self.settings.redis_port, attempt)

    def kafka(self, directory: Path) -> str:
        """Format the storage if need be and start Kafka; returns its bootstrap address when it answers."""

        archive = CdsArchive(
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
                archive=archive,
            )
            server.write_config()
            if not server.formatted:
                self._run(server.format_part(self.env))
            part = server.part(self.env, self.pass_fds)
            self._start_and_wait(part, lambda: kafka_answers(server.bootstrap))
            self._prepare_next_start(server)
            return server.bootstrap

        return _with_port("kafka_port", self.settings.kafka_port, attempt)

    def _prepare_next_start(self, server: KafkaServer) -> None:
        part = server.archive_part(self.env)
        if part is not None:
            self.supervisor.start(part)

    def _run(self, part: Part) -> None:
        self.supervisor.start(part)
        if self.supervisor.wait(part.name) != 0:
            raise FraudsimError(self._why(part.name))

    def _start_and_wait(self, part: Part, answers: Callable[[], bool]) -> None:
        first_pid = self.supervisor.start(part)

        def ready() -> bool:
            if self.supervisor.pid(part.name) != first_pid:
                self._give_up(part.name)
            return answers()

        if not poll_until(ready, _READY_S):
            why = self._why(part.name, f"does not answer after {_READY_S:.0f} s")
            self.supervisor.stop(part.name)
            raise FraudsimError(why)

    def _give_up(self, name: str) -> None:
        self.supervisor.stop(name)
        if any(_PORT_TAKEN in line.lower() for line in self.supervisor.last_output(name, 200)):
            raise _PortTakenError
        raise FraudsimError(self._why(name))

    def _why(self, name: str, what: str = "ended instead of starting") -> str:
        lines = " | ".join(self.supervisor.last_output(name)) or "(it wrote nothing)"
        return f"{name} {what}; see {self.supervisor.log(name)}: {lines}"


def _with_port(field: str, fixed: int, attempt: Callable[[int], str]) -> str:
    """A port found free can be taken by another process before the server has it: then choose again."""
    for _ in range(_PORT_ATTEMPTS):
        try:
            return attempt(choose_port(field, fixed))
        except _PortTakenError:
            continue
    raise FraudsimError(f"every port tried was taken by another process: set {variable(field)} to a free one")
