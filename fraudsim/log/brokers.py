"""Whether Kafka's brokers can be reached at all, found out before a client tries for half a minute."""

import socket
from typing import Final

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import variable

PATIENCE_S: Final = 2.0
"""A broker that is being started may take so long to listen."""
RETRY_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 3.0


def broker_addresses(bootstrap: str) -> list[tuple[str, int]]:
    """Host and port of each broker of a list host:port[,host:port…]; a host may be an IPv6 address in [].

    Raises:
        FraudsimError: an entry has no port, or no host.
    """
    addresses = []
    for entry in bootstrap.split(","):
        host, _, port = entry.strip().rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            raise FraudsimError(
                f"setting {variable('kafka_bootstrap')}={bootstrap}: {entry!r} is not host:port; "
                "name Kafka's brokers as host:port[,host:port…]"
            )
        addresses.append((host.removeprefix("[").removesuffix("]"), int(port)))
    return addresses


def check_reachable(bootstrap: str, patience_s: float = PATIENCE_S) -> None:
    """Return as soon as a broker accepts a connection.

    Raises:
        FraudsimError: none does for `patience_s`.
    """
    addresses = broker_addresses(bootstrap)
    problem = ""

    def accepts() -> bool:
        nonlocal problem
        for address in addresses:
            try:
                socket.create_connection(address, CONNECT_TIMEOUT_S).close()
            except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
                problem = getattr(error, "strerror", None) or str(error)
            else:
                return True
        return False

    if not poll_until(accepts, patience_s, every_s=RETRY_S):
        raise FraudsimError(
            f"setting {variable('kafka_bootstrap')}={bootstrap}: no Kafka answers there "
            f"({problem.lower()}); start a line with `fraudsim up`, or a stack with `fraudsim stack "
            "up`, or name its brokers"
        )
