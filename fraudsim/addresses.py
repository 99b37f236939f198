"""Addresses of the line's servers: how they are asked, how they are shown, and which line runs at present."""

import ipaddress
import json
import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from fraudsim.whole_files import write_whole

RUNNING_FILE: Final = "parts.json"
_EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


# HTTP


def http_url(host: str, port: int) -> str:
    """The URL at which a server that listens on `host` is asked from this machine."""
    host = _EVERYWHERE.get(host.strip("[]"), host.strip("[]"))
    try:
        is_ipv6 = ipaddress.ip_address(host.partition("%")[0]).version == 6
    except ValueError:
        is_ipv6 = False
    return f"http://[{host}]:{port}" if is_ipv6 else f"http://{host}:{port}"


def open_direct(request: str | urllib.request.Request, timeout_s: float) -> Any:
    """As `urllib.request.urlopen`, but never through a proxy: for servers of the line."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout_s)


def mask_password(url: str) -> str:
    """The URL for people and logs: its password is replaced by `***`."""
    return re.sub(r"(://[^/@:]*:)[^/]*(@)", r"\1***\2", url)


# The running line


@dataclass(frozen=True)
class RunningPart:
    """One process of a running line."""

    job: str
    """Name of its job in Prometheus."""
    metrics_port: int
    pid: int | None
    """None while it does not run."""


@dataclass(frozen=True)
class RunningLine:
    """The addresses of a running line and its processes, as its run folder keeps them."""

    kafka_bootstrap: str
    redis_url: str
    http_url: str
    parts: Mapping[str, RunningPart] = field(default_factory=dict)
    servers: Mapping[str, int | None] = field(default_factory=dict)
    """Process ids of the line's own Kafka and Redis; empty where they are somebody else's."""

    def write(self, run_dir: Path) -> None:
        """Write or replace the file, readable by this user only because the URL of Redis has a password."""
        addresses = {name: value for name, value in asdict(self).items() if name != "parts"}
        owner = {"owner_pid": os.getpid(), "owner_started_s": _started_s(os.getpid())}
        head = json.dumps({**addresses, **owner}, indent=1).removesuffix("\n}")
        # A line for each part, so that grep and sed can read it.
        lines = ",\n".join(f'  "{name}": {json.dumps(asdict(part))}' for name, part in self.parts.items())
        write_whole(run_dir / RUNNING_FILE, f'{head},\n "parts": {{\n{lines}\n }}\n}}\n', mode=0o600)


def running_line(run_dir: Path) -> RunningLine | None:
    """The line that runs in a run folder at present; None if none does."""
    try:
        content = json.loads((run_dir / RUNNING_FILE).read_text())
        if _started_s(content["owner_pid"]) != content["owner_started_s"]:
            return None
        parts = {name: RunningPart(**part) for name, part in content["parts"].items()}
        servers = content.get("servers", {})
        return RunningLine(
            content["kafka_bootstrap"], content["redis_url"], content["http_url"], parts, servers
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _started_s(pid: int) -> float | None:
    """The start time of a process, which with its pid identifies it; None if there is none."""
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
