"""Kafka that is away is named at once, and one that is only late is waited for."""

import socket
import threading
from contextlib import suppress

import pytest
from kafka.protocol.metadata import MetadataResponse
from structlog.testing import capture_logs

from fraudsim.errors import FraudsimError
from fraudsim.log import brokers, clock_log, consumer
from fraudsim.log.brokers import KafkaAwayError, broker_addresses, check_reachable
from fraudsim.log.clock_log import open_clock
from fraudsim.log.consumer import partitions_of
from fraudsim.settings import Settings


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


class Broker:
    """A server that answers a connection's first request with these bytes."""

    def __init__(self, answer, *, listening=True):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.answer = answer
        if listening:
            self.listen()

    def listen(self):
        self.socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                connection.recv(1000)
                connection.sendall(self.answer)
                connection.close()


def metadata(*brokers):
    """Kafka's answer that names these brokers by host and port."""
    broker = MetadataResponse.MetadataResponseBroker
    response = MetadataResponse[1](
        brokers=[
            broker(node_id=n, host=host, port=port, rack=None) for n, (host, port) in enumerate(brokers)
        ],
        controller_id=0,
        topics=[],
    )
    response.with_header(correlation_id=1)
    return response.encode(header=True, framed=True)


def test_one_that_listens_late_or_second_is_found():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        late = Broker(b"", listening=False)
        late.answer = metadata(("127.0.0.1", closed.getsockname()[1]), ("127.0.0.1", late.port))
        bootstrap = f"127.0.0.1:{closed.getsockname()[1]},127.0.0.1:{late.port}"
        threading.Timer(0.3, late.listen).start()
        check_reachable(bootstrap, 30)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers is not Kafka"),
        (b"-ERR unknown command\r\n", "what answers is not Kafka"),
        (b"", "what answers is not Kafka"),
        (b"\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x09", "what answers is not Kafka"),
        (metadata(), "it knows no broker yet"),
        (
            metadata(("no-such-host.invalid", 9092)),
            "it sends clients to no-such-host.invalid:9092",
        ),
    ],
)
def test_what_listens_and_is_no_usable_broker_is_named_with_the_reason(answer, reason):
    with pytest.raises(KafkaAwayError, match=reason) as error:
        check_reachable(f"127.0.0.1:{Broker(answer).port}", 0.1)
    assert "\n" not in str(error.value)


def test_one_that_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(brokers, "CONNECT_TIMEOUT_S", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(KafkaAwayError, match="it accepts connections and does not answer"),
    ):
        check_reachable(f"127.0.0.1:{silent.getsockname()[1]}", 0.1)


def test_a_clock_is_not_waited_for_where_kafka_is_away(monkeypatch):
    """Its topic may come within a minute; Kafka is asked for two seconds."""
    asked = []
    monkeypatch.setattr(consumer, "check_reachable", lambda b: asked.append(b) or check_reachable(b, 0.1))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        bootstrap = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(KafkaAwayError):
            open_clock(Settings(_env_file=None, kafka_bootstrap=bootstrap))
    assert asked == [bootstrap]


def test_a_wait_for_the_clock_is_announced_once(monkeypatch):
    def missing(*_):
        raise FraudsimError("topic run.clock does not exist")

    monkeypatch.setattr(clock_log, "pass_to_end", missing)
    monkeypatch.setattr(clock_log, "ANNOUNCED_AFTER_S", 0.0)
    monkeypatch.setattr(clock_log, "SHORT_WAIT_S", 0.1)
    with capture_logs() as logs, pytest.raises(FraudsimError, match="does not exist"):
        open_clock(Settings(_env_file=None), 0.5)
    assert [(log["event"], log["reason"]) for log in logs] == [
        ("waiting_for_clock", "topic run.clock does not exist")
    ]
    with capture_logs() as logs, pytest.raises(FraudsimError, match="does not exist"):
        open_clock(Settings(_env_file=None), 0.1)
    assert logs == []  # a command that people wait for ends soon, with the error
