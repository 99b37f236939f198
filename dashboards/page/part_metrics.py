"""The parts of the line, by the metrics that each of them serves."""

import asyncio
import re
import socket
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from dashboards.page.counts.model_roles import ROLE, SHADOW, Labels, Samples
from fraudsim.addresses import http_url, running_line
from fraudsim.settings import Settings
from runner.line.parts import PARTS, LinePart

EVERY_S: Final = 2.0
ANSWER_S: Final = 1.5
SILENT_S: Final = 20.0
"""A heartbeat this old means that the process answers and does nothing."""
MAX_BYTES: Final = 1 << 20
"""Of a part's metrics."""
WANTED: Final = (
    "process_cpu_seconds_total", "process_start_time_seconds", "fraudsim_consumer_lag_records",
    "fraudsim_heartbeat_timestamp_seconds", "fraudsim_transactions_total", "fraudsim_labels_total",
    "fraudsim_drift_week_status", "fraudsim_drift_week_signals_beyond", "fraudsim_drift_reference_weeks",
    "fraudsim_drift_week_timestamp_seconds", ROLE, SHADOW,
)  # fmt: skip
_NUMBER: Final = r"-?\d+(?:\.\d*)?(?:e[+-]?\d{1,2})?"
_LINE: Final = re.compile(rf"^({'|'.join(WANTED)})(?:\{{(.*)\}})? ({_NUMBER})$", re.M | re.A)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse_samples(text: str) -> dict[tuple[str, Labels], float]:
    """The wanted samples of a page of metrics, by name and labels; values that are no finite numbers are left
    out. prometheus-client's parser takes 20 times as long.

    >>> parse_samples('process_cpu_seconds_total 1.5\\nother 2\\n')
    {('process_cpu_seconds_total', ()): 1.5}
    """
    return {
        (name, tuple(sorted(_LABEL.findall(labels or "")))): float(value)
        for name, labels, value in _LINE.findall(text)
    }


@dataclass(frozen=True)
class PartReading:
    """What a part's metrics say now."""

    name: str
    status: str
    """up, down, silent, ended, or absent: not part of this run."""
    reason: str = ""
    """Why there are no numbers."""
    cpu: float | None = None
    """Share of a core since the reading before."""
    lag: float | None = None
    """Records."""
    restarts: int = 0
    """Restarts that the page has seen."""
    rate: float | None = None
    """Records a second that it sent or folded, since the reading before."""
    samples: Samples | None = None
    """Those of `WANTED`."""


@dataclass(frozen=True)
class _Previous:
    at_s: float
    cpu_s: float
    start_s: float
    handled: float


class PartMetrics:
    """The latest reading of every part of the table."""

    def __init__(self, settings: Settings, run: Path | None) -> None:
        """`run` is the run folder that names the parts' ports; without it they are asked by their service's
        name at the common port of metrics, as in compose."""
        self._settings, self._run = settings, run
        self.readings: dict[str, PartReading] = {
            part.name: PartReading(part.name, "absent", "not asked yet") for part in PARTS
        }
        self.redis_problem = "not asked yet"
        """Why Redis gives no answer; empty while it does."""
        self._previous: dict[str, _Previous] = {}
        self._restarts: dict[str, int] = {}

    async def follow(self) -> None:
        """Ask every part, until cancelled."""
        async with Redis.from_url(
            self._settings.redis_url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S
        ) as redis:
            while True:
                line = None if self._run is None else running_line(self._run)
                for part in PARTS:
                    if part.name != "page":
                        self.readings[part.name] = await self._read(part, line)
                try:
                    await redis.ping()
                    self.redis_problem = ""
                except (RedisError, OSError, TimeoutError) as error:
                    self.redis_problem = f"no answer: {' '.join(str(error).split())[:120]}"
                await asyncio.sleep(EVERY_S)

    async def _read(self, part: LinePart, line: Any) -> PartReading:
        urls, reason = await self._urls(part, line)
        if not urls:
            ended = part.finishes and "does not run" in reason
            gone = line is not None and part.name in line.parts
            status = "ended" if ended else "down" if gone else "absent"
            return PartReading(part.name, status, reason, restarts=self._restarts.get(part.name, 0))
        answers = await asyncio.gather(*(asyncio.to_thread(_fetch, url) for url in urls))
        texts = [text for text in answers if text is not None]
        if not texts:
            return PartReading(
                part.name, "down", "does not answer", restarts=self._restarts.get(part.name, 0)
            )
        return self._reading(part.name, [parse_samples(text) for text in texts])

    async def _urls(self, part: LinePart, line: Any) -> tuple[list[str], str]:
        if self._run is not None:
            if line is None:
                return [], f"no line runs in {self._run.name}"
            running = line.parts.get(part.name)
            if running is None:
                return [], "not in this run"
            if running.pid is None:
                return [], "does not run"
            return [f"{http_url(self._settings.metrics_host, running.metrics_port)}/metrics"], ""
        port = self._settings.metrics_port
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(part.service, port, type=socket.SOCK_STREAM)
        except OSError:
            return [], f"no host {part.service}"
        return sorted({f"{http_url(str(info[4][0]), port)}/metrics" for info in infos}), ""

    def _reading(self, name: str, replicas: list[dict[tuple[str, Labels], float]]) -> PartReading:
        """One reading of all replicas: sums, and the newest sign of life."""
        now_s = time.time()
        samples: dict[tuple[str, Labels], float] = {}
        for replica in replicas:
            for key, value in replica.items():
                newest = key[0] in ("process_start_time_seconds", "fraudsim_heartbeat_timestamp_seconds")
                samples[key] = max(samples.get(key, 0.0), value) if newest else samples.get(key, 0.0) + value
        start_s = samples.get(("process_start_time_seconds", ()), 0.0)
        cpu_s = samples.get(("process_cpu_seconds_total", ()), 0.0)
        handled = handled_by(samples)
        before = self._previous.get(name)
        self._previous[name] = _Previous(now_s, cpu_s, start_s, handled)
        if before is not None and start_s > before.start_s + 1:
            self._restarts[name] = self._restarts.get(name, 0) + 1
            before = None
        elapsed_s = now_s - before.at_s if before is not None else 0.0
        beat_s = samples.get(("fraudsim_heartbeat_timestamp_seconds", ()), 0.0)
        silent = bool(beat_s) and now_s - beat_s > SILENT_S
        return PartReading(
            name,
            "silent" if silent else "up",
            f"no sign of life for {now_s - beat_s:.0f} s" if silent else "",
            cpu=None if before is None or not cpu_s else max(cpu_s - before.cpu_s, 0.0) / elapsed_s,
            lag=max(
                (v for (n, _), v in samples.items() if n == "fraudsim_consumer_lag_records"), default=None
            ),
            restarts=self._restarts.get(name, 0),
            rate=None if before is None else max(handled - before.handled, 0.0) / elapsed_s,
            samples=samples,
        )


def handled_by(samples: Samples) -> float:
    """Records that a process has sent, folded or, as labels, sent."""
    stages = {(("outcome", "ok"), ("stage", stage)) for stage in ("sent", "folded")}
    transactions = sum(
        v for (n, labels), v in samples.items() if n == "fraudsim_transactions_total" and labels in stages
    )
    if transactions:
        return transactions
    return sum(v for (n, _), v in samples.items() if n == "fraudsim_labels_total")


def _fetch(url: str) -> str | None:
    """A page of metrics; None where nobody answers. urllib takes twice the time."""
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_S)
    try:
        connection.request("GET", address.path)
        answer = connection.getresponse()
        return answer.read(MAX_BYTES).decode("utf-8", "replace") if answer.status == HTTPStatus.OK else None
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
