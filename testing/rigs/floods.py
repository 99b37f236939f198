"""Floods of HTTP requests and of connections against a running line, and the memory that they cost it."""

import contextlib
import re
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

from fraudsim.addresses import open_direct
from runner.line.line import Line
from runner.line.parts import PARTS
from testing.rigs.live_line import ask_scorer

ROOT: Final = Path(__file__).parents[2]
BATCH: Final = 200
SERVERS: Final = ("kafka", "redis")
_UNITS: Final = {"k": 2**10, "m": 2**20, "g": 2**30}


def metric(line: Line, part: str, name: str, /, **labels: str) -> float:
    """The sum of the samples of this name in a part's metrics whose labels include these."""
    with open_direct(line.metrics_url(part), timeout_s=60) as reply:
        text = reply.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def bytes_of(size: str) -> int:
    """`1g`, `512m`, `1gb` as bytes.

    >>> bytes_of("512m")
    536870912
    """
    match = re.fullmatch(r"(\d+)([kmg])b?", size)
    assert match, size
    return int(match[1]) * _UNITS[match[2]]


def compose_limits() -> dict[str, int]:
    """Compose's limit of memory in bytes, by the local line's name of the process."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    names = {part.name: part.service for part in PARTS if part.starts != "by hand"}
    names |= {name: name for name in SERVERS}
    return {name: bytes_of(services[service]["mem_limit"]) for name, service in names.items()}


def compose_maxmemory() -> int:
    """Redis's `maxmemory` in compose, bytes."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    command = services["redis"]["command"]
    return bytes_of(command[command.index("--maxmemory") + 1])


def peak_bytes(line: Line) -> dict[str, int]:
    """The most that each running process has had resident so far, by name. Reads /proc."""
    peaks = {}
    for name in compose_limits():
        pid = line.supervisor.pid(name)
        if pid is not None:
            status = Path(f"/proc/{pid}/status").read_text()
            peaks[name] = 1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
    return peaks


class RequestFlood(threading.Thread):
    """Sends distinct transactions, in batches one after the other; what is not accepted is sent again."""

    def __init__(self, line: Line, prefix: str, count: int) -> None:
        """`prefix` begins its ids and keys."""
        super().__init__(daemon=True)
        self._line, self._prefix, self._count = line, prefix, count
        self.accepted: set[str] = set()
        self.refused: dict[int, int] = {}
        """Items not accepted, by status."""

    def run(self) -> None:
        waiting = [self._transaction(n) for n in range(self._count)]
        while waiting:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            refused = self._send(batch)
            if refused:
                waiting += refused
                time.sleep(0.05)

    def _transaction(self, number: int) -> dict[str, Any]:
        return {
            "tx_id": f"{self._prefix}-{number}", "card_id": f"{self._prefix}-{number}",
            "merchant_id": f"{self._prefix}-{number % 97}", "device_id": f"{self._prefix}-{number // 3}",
            "ip": f"10.1.{number // 250 % 250}.{number % 250}", "amount_cents": 100 + number % 5_000,
        }  # fmt: skip

    def _send(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that were not accepted."""
        try:
            status, reply = ask_scorer(self._line, {"transactions": batch}, "/v1/score/batch", 60)
        except OSError:
            status, reply = 0, None
        statuses = [item["status"] for item in reply["results"]] if status == 200 else [status] * len(batch)
        refused = []
        for tx, item_status in zip(batch, statuses, strict=True):
            if item_status == 200:
                self.accepted.add(tx["tx_id"])
            else:
                self.refused[item_status] = self.refused.get(item_status, 0) + 1
                refused.append(tx)
        return refused


def request_flood(line: Line, name: str, count: int, threads: int = 3) -> tuple[set[str], dict[int, int]]:
    """Send `count` distinct transactions. Returns the ids accepted, and the refusals by status."""
    floods = [RequestFlood(line, f"{name}{n}", count // threads) for n in range(threads)]
    for flood in floods:
        flood.start()
    for flood in floods:
        flood.join()
    refused: dict[int, int] = {}
    for flood in floods:
        for status, number in flood.refused.items():
            refused[status] = refused.get(status, 0) + number
    return {tx_id for flood in floods for tx_id in flood.accepted}, refused


def files_for(connections: int) -> int:
    """Open files that a test with so many connections needs."""
    return connections + 500


@contextmanager
def connection_flood(line: Line, count: int) -> Iterator[None]:
    """Hold `count` connections: most silent, some with half a request, some whose replies nobody takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files_for(count)), hard))
    address = ("127.0.0.1", line.settings.http_port)
    half = b"POST /v1/score HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{"
    openings = [b"", b"", b"", b"", half]
    greedy = b"GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200  # more than the kernel buffers
    with contextlib.ExitStack() as connections:
        for number in range(count):
            with contextlib.suppress(OSError):  # refused or reset: what a flood may meet
                connection = connections.enter_context(socket.socket())
                connection.settimeout(5)
                if number % 100 == 99:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(address)
                opening = greedy if number % 100 == 99 else openings[number % len(openings)]
                if opening:
                    connection.sendall(opening)
        yield


def replies_in_redis(redis: Any) -> int:
    """Bytes that the kept HTTP replies take in Redis, expired ones left out."""
    names = list(redis.scan_iter(match="tx:*", count=2_000))
    total = 0
    for start in range(0, len(names), 1_000):
        pipe = redis.pipeline(transaction=False)
        for name in names[start : start + 1_000]:
            pipe.memory_usage(name)
        total += sum(size or 0 for size in pipe.execute())
    return total


def alert_share(name: str) -> float:
    """The number with which an alert's expression ends."""
    rules = ROOT / "dashboards" / "prometheus" / "rules" / "alerts.yml"
    groups = yaml.safe_load(rules.read_text())["groups"]
    (expr,) = [rule["expr"] for group in groups for rule in group["rules"] if rule["alert"] == name]
    return float(expr.rpartition(" ")[2])
