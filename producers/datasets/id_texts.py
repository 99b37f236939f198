"""Ids that are none: numbers that lost their digits, a spreadsheet's errors, and words for a missing value.

An id is a text. Whoever reads it as a number keeps fifteen digits (spreadsheets) or 53 bits (floats), and
several cards become one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudsim.arrays import Flags

_ID: Final = r"^[!-~]{1,64}$"
_FAULTS: Final = (
    (_ID, False, "is not an id of 1 to 64 printable characters"),
    (
        r"^-?[0-9]([.,][0-9]+)?[eE][-+][0-9]{1,3}$",
        True,
        "is a rounded number whose digits are lost; export the ids as text",
    ),
    (r"^(#+|#(N/A|REF!|VALUE!|NAME\?|NUM!|NULL!|DIV/0!))$", True, "is a spreadsheet's error, not an id"),
    (r"^(?i:nan|nat|null|none|n/a|na|<na>)$", True, "is a missing value, not an id"),
)
"""(pattern, whether a match is a fault, reason)."""
_FLOAT: Final = r"^-?[0-9]{16,}\.0*$"
_SUSPECT: Final = "|".join([_FLOAT, *(pattern for pattern, is_fault, _ in _FAULTS if is_fault)])
EXACT: Final = 2**53
"""From here on a float of 64 bits skips whole numbers."""
FLOAT_REASON: Final = "is a float of 2**53 or more, which skips whole numbers; export the ids as text"
_LONG: Final = r"^-?[0-9]{16,}(-.*)?$"
_AFTER_FIFTEEN: Final = r"^-?[0-9]{15}([0-9]+).*$"
_CERTAIN_ZEROS: Final = 6
"""Zeros in a row that chance gives once in a million files."""


def id_faults(ids: pa.StringArray) -> Iterator[tuple[Flags, str]]:
    """Masks of ids that are none, shape (n,), each with its reason; nothing if all are sound."""
    sound = pc.and_not(pc.match_substring_regex(ids, _ID), pc.match_substring_regex(ids, _SUSPECT))
    if pc.all(sound).as_py() is not False:
        return
    for pattern, is_fault, reason in _FAULTS:
        yield np.asarray(pc.match_substring_regex(ids, pattern)) == is_fault, reason
    floats = np.array(np.asarray(pc.match_substring_regex(ids, _FLOAT)))
    for row in np.flatnonzero(floats).tolist():
        floats[row] = abs(int(ids[row].as_py().partition(".")[0])) >= EXACT
    yield floats, FLOAT_REASON


@dataclass(frozen=True)
class RoundedIds:
    """Ids of 16 digits or more that have only zeros after the fifteenth, as a spreadsheet leaves them."""

    rounded: int
    """Distinct ids that end so."""
    distinct: int
    """Distinct ids of sixteen digits or more."""
    example: str
    certain: bool
    """Whether all end so and chance cannot explain it."""


def rounded_ids(ids: pa.Array) -> RoundedIds | None:
    """What looks rounded among ids; None if no more of them end in zeros than chance explains.

    An id counts too that continues after its digits with `-`.
    """
    texts = ids.dictionary if pa.types.is_dictionary(ids.type) else ids
    long = texts.filter(pc.match_substring_regex(texts, _LONG)).unique()
    if len(long) == 0:
        return None
    tails = pc.replace_substring_regex(long, _AFTER_FIFTEEN, r"\1")
    lengths = pc.utf8_length(tails).to_numpy(zero_copy_only=False)
    zeros = np.asarray(pc.match_substring_regex(tails, "^0+$"))
    count, by_chance = int(zeros.sum()), float((0.1**lengths).sum())
    if count < len(long) and count <= by_chance + 6 * sqrt(by_chance) + _CERTAIN_ZEROS:
        return None
    return RoundedIds(
        rounded=count,
        distinct=len(long),
        example=long[int(zeros.argmax())].as_py(),
        certain=count == len(long) and int(lengths.sum()) >= _CERTAIN_ZEROS,
    )
