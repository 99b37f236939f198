"""The last lines of a log, for an error that has to say why a process died."""

from pathlib import Path

_MOST_BYTES = 16_384


def last_lines(path: Path, lines: int = 8, since_byte: int = 0) -> list[str]:
    """The last `lines` non-empty lines of the file beyond `since_byte`; none if there is no file."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(since_byte, size - _MOST_BYTES))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
