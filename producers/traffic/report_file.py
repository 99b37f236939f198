"""A process's report as a JSON file, replaced atomically and read back by the next start."""

from pathlib import Path
from typing import TypeVar

import msgspec

from fraudsim.whole_files import write_whole

R = TypeVar("R", bound=msgspec.Struct)


def write_report(path: Path | None, report: msgspec.Struct) -> None:
    """Replace the report file; without a path nothing is written."""
    if path is None:
        return
    write_whole(path, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")


def read_report(path: Path | None, kind: type[R]) -> R | None:
    """The report of an earlier start; None without a readable one."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind) if path else None
    except (OSError, msgspec.DecodeError):
        return None
