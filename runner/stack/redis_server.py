"""One Redis server on the loopback: configuration, process, and a probe."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.disk import explain_disk_errors
from runner.stack.ports import HOST
from runner.supervise.supervisor import Part

NAME = "redis"

# noeviction: state evicted under memory pressure would silently give wrong features; a refused write fails
# visibly.
# No snapshots: they fork, and the state is a fold of the log, which `fraudsim features rebuild` repeats.
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
    """A Redis (or Valkey) with its files in `directory`.

    With `appendonly`, acknowledged writes survive the end of the process (not a crash of the machine), at the
    cost of disk writes. Without it, a restarted server is empty.
    """

    directory: Path
    binary: Path
    port: int
    appendonly: bool = False

    @property
    def url(self) -> str:
        """The redis:// URL of database 0."""
        return f"redis://{HOST}:{self.port}/0"

    def write_config(self) -> None:
        """Make the folders and write `redis.conf`.

        Raises:
            FraudsimError: the disk is full, or the folder cannot be written to.
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
