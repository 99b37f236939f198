"""The last lines of a log file, for errors that say why a process ended."""

from pathlib import Path

_MAX_BYTES = 16_384


def last_lines(path: Path, lines: int = 8, since_byte: int = 0) -> list[str]:
    """The last `lines` non-empty lines of the file after `since_byte`; empty if there is no file.

    Reads the last 16 kB at most.
    """
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(since_byte, size - _MAX_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
