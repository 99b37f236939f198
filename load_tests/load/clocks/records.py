"""The record of one request, as a generator writes it and as numpy reads it.

All times are wall clock, µs since the epoch. A generator takes them from its steady clock, set by the wall
clock once at its start, so that a step of the wall clock moves none of them against another.
"""

import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fraudsim.errors import FraudsimError

TIMES: Final = ("intended_us", "free_us", "ready_us", "sent_us", "completed_us")
"""When it was due; since when a sender had been free; when that sender began; when the request was written
(for a stream: handed to the client); when its answer was complete. 0 is never."""
STAMPS: Final = ("appended", "received", "dequeued", "state_read", "features", "scored", "decided")
"""The server's own stamps, in the order of its stages; 0 where the answer had none."""
DTYPE: Final = np.dtype(
    [
        ("number", "<i8"),
        *((name, "<i8") for name in TIMES),
        *((name, "<i8") for name in STAMPS),
        ("status", "<i4"),
        ("good", "<i4"),
    ]
)
_STRUCT: Final = struct.Struct(f"<{1 + len(TIMES) + len(STAMPS)}q2i")
assert _STRUCT.size == DTYPE.itemsize
NO_STAMPS: Final = (0,) * len(STAMPS)
Records = npt.NDArray[Any]
"""An array of `DTYPE`."""


def pack_record(
    number: int,
    times: tuple[int, int, int, int, int],
    stamps: tuple[int, ...],
    status: int,
    good: bool,
) -> bytes:
    """A record as bytes; `times` in the order of `TIMES`, `stamps` in that of `STAMPS`.

    `status` is HTTP's, 200 for a decision read from a stream, 0 where no answer came.
    """
    return _STRUCT.pack(number, *times, *stamps, status, good)


def read_records(path: Path) -> Records:
    """The records of a file, by number; a record that was cut at the end of the file is left out.

    Raises:
        FraudsimError: the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FraudsimError(f"records {path}: {error.strerror}; run the load again") from None
    whole = len(content) // DTYPE.itemsize * DTYPE.itemsize
    records = np.frombuffer(content[:whole], dtype=DTYPE)
    return records[np.argsort(records["number"], kind="stable")]
