"""The processes whose cost is measured: a line's parts and servers, or what listens at a URL's port."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from fraudsim.addresses import running_line

TARGET: Final = "target"


def line_pids(run: Path) -> dict[str, int | None]:
    """Processes of the line that runs in a folder, at present; empty if none runs there."""
    line = running_line(run)
    if line is None:
        return {}
    return {**{name: part.pid for name, part in line.parts.items()}, **line.servers}


def target_pids(url: str) -> Mapping[str, int | None]:
    """The process that listens at a loopback URL's port; empty where the system does not say."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
        ]
    except (psutil.Error, OSError, AttributeError):
        return {}
    return {TARGET: min(listening)} if listening else {}
