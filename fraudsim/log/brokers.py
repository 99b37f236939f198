"""Whether Kafka's brokers can be reached at all, found out before a client tries for half a minute.

Every command of the product asks here once, when it first needs the log. A client that runs already waits
for its brokers by itself.
"""

import socket
import struct
from typing import Any, Final

from fraudsim.errors import FraudsimError
from fraudsim.polling import poll_until
from fraudsim.settings import variable

PATIENCE_S: Final = 2.0
"""A broker that is being started may take so long to listen."""
RETRY_S: Final = 0.2
CONNECT_TIMEOUT_S: Final = 3.0
"""Also for the answer to the first request."""
LARGEST_ANSWER: Final = 1 << 20
"""Bytes; what claims to be longer is no answer of Kafka."""
Address = tuple[str, int]
"""Host and port."""


class KafkaAwayError(FraudsimError):
    """No broker answers; waiting for what the log holds would be in vain."""


class _NoAnswerError(Exception):
    """Something accepts connections there, and is no broker that can be used. The message says why."""


def broker_addresses(bootstrap: str) -> list[Address]:
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
    """Return as soon as a broker answers, and one can be reached by the address that Kafka gives to clients.

    Raises:
        KafkaAwayError: none does for `patience_s`.
    """
    addresses = broker_addresses(bootstrap)
    problem = ""

    def answers() -> bool:
        nonlocal problem
        for address in addresses:
            try:
                _check_broker(address)
            except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
                problem = (getattr(error, "strerror", None) or str(error)).lower()
            except _NoAnswerError as error:
                problem = str(error)
            else:
                return True
        return False

    if not poll_until(answers, patience_s, every_s=RETRY_S):
        raise KafkaAwayError(
            f"setting {variable('kafka_bootstrap')}={bootstrap}: no Kafka answers there ({problem}); start a "
            "line with `fraudsim up`, or a stack with `fraudsim stack up`, or name its brokers"
        )


def _check_broker(address: Address) -> None:
    """Raises OSError or _NoAnswerError unless a Kafka answers, one of whose brokers can be reached."""
    with socket.create_connection(address, CONNECT_TIMEOUT_S) as connection:
        advertised = _advertised_addresses(connection)
    problem = "it knows no broker yet"
    for broker in advertised:
        if broker == address:
            return
        try:
            socket.create_connection(broker, CONNECT_TIMEOUT_S).close()
        except (OSError, UnicodeError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            problem = (
                f"it sends clients to {broker[0]}:{broker[1]}, its advertised.listeners, which cannot be "
                f"reached: {reason}"
            )
        else:
            return
    raise _NoAnswerError(problem)


def _advertised_addresses(connection: socket.socket) -> list[Address]:
    """The brokers' addresses in the answer to a metadata request; none while the broker starts."""
    from kafka.protocol.metadata import MetadataRequest, MetadataResponse

    request = MetadataRequest[1](topics=MetadataRequest.NO_TOPICS)
    request.with_header(correlation_id=1, client_id="fraudsim")
    try:
        connection.sendall(request.encode(header=True, framed=True))
        (length,) = struct.unpack(">i", _receive(connection, 4))
        if not 8 <= length <= LARGEST_ANSWER:
            raise ValueError(length)
        answer: Any = MetadataResponse[1].decode(_receive(connection, length), header=True)
        return [(broker.host, broker.port) for broker in answer.brokers]
    except TimeoutError:
        raise _NoAnswerError("it accepts connections and does not answer") from None
    except (ValueError, IndexError, struct.error, UnicodeDecodeError):
        raise _NoAnswerError("what answers is not Kafka") from None


def _receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes. Raises ValueError where the other side ends before."""
    content = b""
    while len(content) < size:
        chunk = connection.recv(size - len(content))
        if not chunk:
            raise ValueError("the connection was closed")
        content += chunk
    return content
