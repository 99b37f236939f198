"""Kafka that is away is named at once, and one that is only late is waited for."""

import socket
import threading
import time

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.log.brokers import broker_addresses, check_reachable
from fraudsim.log.consumer import partitions_of


@pytest.mark.parametrize(
    "bootstrap",
    ["127.0.0.1:port", "127.0.0.1", ":9092", "", "a:1,", "a:0", "a:65536", "a:-1", "a:1²"],
)
def test_an_address_that_is_none_is_named(bootstrap):
    with pytest.raises(FraudsimError, match=r"setting FRAUDSIM_KAFKA_BOOTSTRAP=.* is not host:port"):
        broker_addresses(bootstrap)


def test_several_addresses_and_ipv6_are_read():
    assert broker_addresses("a:1, [::1]:9092") == [("a", 1), ("::1", 9092)]


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "x" * 70, "[::1]"])
def test_kafka_that_is_away_is_named_with_the_reason(host):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        bootstrap = f"{host}:{closed.getsockname()[1]}"
        with pytest.raises(FraudsimError) as error:
            check_reachable(bootstrap, 0.1)
    assert f"FRAUDSIM_KAFKA_BOOTSTRAP={bootstrap}: no Kafka answers there (" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_short_call_finds_it_out_before_it_makes_a_client(monkeypatch):
    def no_client(**_):
        raise AssertionError("it tries for half a minute")

    monkeypatch.setattr("kafka.KafkaConsumer", no_client)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(FraudsimError, match="no Kafka answers"):
            partitions_of(f"127.0.0.1:{closed.getsockname()[1]}", ["t"])


def test_one_that_listens_late_or_second_is_found():
    with socket.socket() as late, socket.socket() as closed:
        for bound in (late, closed):
            bound.bind(("127.0.0.1", 0))
        bootstrap = f"127.0.0.1:{closed.getsockname()[1]},127.0.0.1:{late.getsockname()[1]}"
        thread = threading.Thread(target=lambda: (time.sleep(0.3), late.listen()))
        thread.start()
        check_reachable(bootstrap, 30)
        thread.join()
