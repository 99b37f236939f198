"""How a CSV file is written: its delimiter, the line of its header, and the names in it."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fraudsim.errors import FraudsimError

_DELIMITERS: Final = (",", ";", "\t", "|")
_MAX_HEADER_BYTES: Final = 1 << 16
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
"""Byte order marks of UTF-16 and UTF-32."""


@dataclass(frozen=True)
class CsvForm:
    """What is found in the first lines of a file."""

    header: tuple[str, ...]
    delimiter: str
    line: int
    """Number of the header's line; above it are blank lines, or a spreadsheet's `sep=;`."""


def read_form(path: Path) -> CsvForm:
    """The form of a file: lines may end with CR, LF or both, and a byte order mark may come first.

    The delimiter is the one of comma, semicolon, tab and `|` that gives the header most names.

    Raises:
        FraudsimError: the file cannot be read, is empty, or is not text.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_MAX_HEADER_BYTES)
    except OSError as error:
        raise FraudsimError(f"replay {path}: {error.strerror}") from None
    if start.startswith(_WIDE_MARKS):
        raise FraudsimError(f"replay {path}: is UTF-16 or UTF-32; save it as CSV in UTF-8")
    lines = start.removeprefix(b"\xef\xbb\xbf").splitlines()
    number = next((i for i, line in enumerate(lines) if not _is_skipped(line)), None)
    if number is None:
        if b"\0" in start:
            raise FraudsimError(f"replay {path}: is neither CSV nor Parquet (if it is packed, unpack it)")
        raise FraudsimError(f"replay {path}: the file is empty")
    if number == len(lines) - 1 and len(start) == _MAX_HEADER_BYTES:
        raise FraudsimError(f"replay {path}: line {number + 1}: the header has more than {len(start)} bytes")
    try:
        text = lines[number].decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise FraudsimError(f"replay {path}: is neither CSV nor Parquet (if it is packed, unpack it)")
    headers = {delimiter: _split(text, delimiter) for delimiter in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda one: len(headers[one]))
    return CsvForm(headers[delimiter], delimiter, number + 1)


def _is_skipped(line: bytes) -> bool:
    return not line.strip() or (line.startswith(b"sep=") and len(line.strip()) <= len(b"sep=;"))


def _split(text: str, delimiter: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([text], delimiter=delimiter)))
    except csv.Error:
        return ()
