import os
import socket
from pathlib import Path

import pytest

from fraudsim.errors import FraudsimError
from runner.stack.ports import HIGHEST, LOWEST, choose_port, claim_port, free_port, is_port_free


def test_zero_takes_a_free_port_that_no_outgoing_connection_is_given() -> None:
    port = choose_port("kafka_port", 0)
    assert LOWEST <= port < HIGHEST
    assert is_port_free(port)


@pytest.mark.parametrize(
    ("field", "name"), [("kafka_port", "FRAUDSIM_KAFKA_PORT"), ("redis_port", "FRAUDSIM_REDIS_PORT")]
)
def test_a_busy_port_is_named_with_its_variable(field: str, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(FraudsimError, match=f"{name}={port} is in use.*{name}=0"):
            choose_port(field, port)


def test_a_port_is_claimed_once_and_only_while_nothing_listens_on_it(tmp_path: Path) -> None:
    port = free_port()
    descriptor = claim_port(port, tmp_path)
    assert descriptor is not None
    assert claim_port(port, tmp_path) is None
    assert claim_port(free_port(exclude=port), tmp_path) is not None
    os.close(descriptor)
    with socket.create_server(("127.0.0.1", port)):
        assert claim_port(port, tmp_path) is None
    assert claim_port(port, tmp_path) is not None
