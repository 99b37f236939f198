"""One Redis server on the loopback: its configuration, its process, and when it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.disk import explain_disk_errors
from runner.stack.ports import HOST
from runner.supervise.supervisor import Part

NAME = "redis"

# noeviction: state that vanishes under memory pressure would be wrong features, silently; a refusal is loud.
# No snapshots: they fork, and the state is a fold of the log, which `fraudsim features rebuild` restores.
_CONFIG = """\
bind {host}
port {port}
protected-mode yes
daemonize no
dir "{data}"
save ""
appendonly {appendonly}
appendfsync no
maxmemory-policy noeviction
tcp-backlog 128
loglevel notice
"""


@dataclass(frozen=True)
class RedisServer:
    """A Redis (or Valkey) that keeps its files under `directory`.

    With `appendonly`, what it acknowledged outlives its process (not a crash of the machine), at the price of
    disk writes; else a restart is empty.
    """

    directory: Path
    binary: Path
    port: int
    appendonly: bool = False

    @property
    def url(self) -> str:
        """redis:// URL of database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def write_config(self) -> None:
        """Write `redis.conf` and make the folders.

        Raises:
            FraudsimError: the disk is full or refuses.
        """
        with explain_disk_errors(self.directory):
            data = self.directory / "data"
            data.mkdir(parents=True, exist_ok=True)
            self._config.write_text(
                _CONFIG.format(
                    host=HOST, port=self.port, data=data, appendonly="yes" if self.appendonly else "no"
                )
            )

    def part(self, env: Mapping[str, str], pass_fds: tuple[int, ...] = ()) -> Part:
        """The server's process."""
        return Part(NAME, [str(self.binary), str(self._config)], dict(env), pass_fds=pass_fds)

    @property
    def _config(self) -> Path:
        return self.directory / "redis.conf"


def redis_answers(url: str, timeout_s: float = 1.0) -> bool:
    """Whether a Redis answers PING there."""
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
