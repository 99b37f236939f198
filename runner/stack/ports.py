"""Loopback ports for the local servers."""

import fcntl
import os
import random
import socket
from pathlib import Path

from fraudsim.errors import FraudsimError
from fraudsim.settings import variable

HOST = "127.0.0.1"
# Below the ports that Linux (32768…) and macOS (49152…) give to outgoing connections. An outgoing connection
# could take the port, or even connect to itself on it, before the server listens.
LOWEST, HIGHEST = 15_000, 32_000


def is_port_free(port: int, host: str = HOST) -> bool:
    """Whether a server can listen on this port of `host` now."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError:
        return False
    return True


def free_port(exclude: int = 0, host: str = HOST) -> int:
    """A random port of `host`, other than `exclude`, on which nothing listens at present.

    Raises:
        FraudsimError: no free port was found.
    """
    rng = random.SystemRandom()
    for _ in range(1000):
        port = rng.randrange(LOWEST, HIGHEST)
        if port != exclude and is_port_free(port, host):
            return port
    raise FraudsimError(f"no free port between {LOWEST} and {HIGHEST} on {host}: stop some servers")


def claim_port(port: int, folder: Path, host: str = HOST) -> int | None:
    """Claim a port before anything listens on it.

    Returns:
        A file descriptor that holds the claim, a locked file in `folder`, until it is closed; None if the
        port is in use, or claimed by another process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"port-{port}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if is_port_free(port, host):
        return descriptor
    os.close(descriptor)
    return None


def choose_port(field: str, port: int) -> int:
    """The port of a settings field, or a free one if the field is 0.

    Raises:
        FraudsimError: the field names a port that is in use.
    """
    if port == 0:
        return free_port()
    if not is_port_free(port):
        name = variable(field)
        raise FraudsimError(
            f"{name}={port} is in use on {HOST}: stop what listens there, or set {name}=0 to take a free port"
        )
    return port
