"""Durations as people write them: a number and a unit."""

import re
from typing import Final

from fraudsim.errors import FraudsimError

UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"[0-9]+(\.[0-9]+)?[smhd]")


def duration_ms(text: str) -> int:
    """A duration such as `90m` in ms.

    >>> duration_ms("90m"), duration_ms("1.5d")
    (5400000, 129600000)

    Raises:
        FraudsimError: the text is not a number followed by s, m, h or d.
    """
    if not _DURATION.fullmatch(text):
        raise FraudsimError(f"{text!r} is no duration: write a number and s, m, h or d, such as 5m")
    return round(float(text[:-1]) * UNIT_MS[text[-1]])


def option_ms(option: str, text: str) -> int:
    """The duration that an option of a command names, above 0, in ms.

    Raises:
        FraudsimError: it is none, or 0; the message names the option.
    """
    try:
        ms = duration_ms(text)
    except FraudsimError as error:
        raise FraudsimError(f"{option} {error}") from None
    if not ms:
        raise FraudsimError(f"{option} {text!r} is no time at all: write a number above 0, such as 7d")
    return ms


def duration_text(ms: int) -> str:
    """A duration in its largest unit that gives a whole number.

    >>> duration_text(5_400_000), duration_text(86_400_000), duration_text(0)
    ('90m', '1d', '0s')
    """
    for unit in reversed(UNIT_MS):
        if ms and ms % UNIT_MS[unit] == 0:
            return f"{ms // UNIT_MS[unit]}{unit}"
    return f"{ms / UNIT_MS['s']:g}s"
