"""What a history gives to a load: the gaps between its last day's transactions, and its transactions."""

from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles
from fraudsim.errors import FraudsimError

DAY_MS: Final = 86_400_000
FEWEST: Final = 100
OWN_FIELDS: Final = ("tx_id", "ts")
"""Of a transaction sent anew these are new."""
MOST_BODIES: Final = 50_000


def recorded_gaps(folder: Path) -> Doubles:
    """Gaps in seconds, in order, of the last day of transactions of a history.

    Raises:
        FraudsimError: the folder is no history, or it has too few transactions.
    """
    from producers.history.reader import read_history

    history = read_history(folder)
    times_ms = history.transactions(["ts"])["ts"].to_numpy()
    gaps_s = np.diff(times_ms[times_ms >= history.manifest.end_ms - DAY_MS]) / 1000
    if len(gaps_s) < FEWEST or gaps_s.sum() <= 0:
        raise FraudsimError(
            f"--arrivals recorded:{folder}: {len(gaps_s) + 1} transactions on its last day, "
            f"{FEWEST} at different times are needed"
        )
    return gaps_s


def write_bodies(folder: Path, path: Path) -> None:
    """Write the latest transactions of a history as bodies, one a line.

    Raises:
        FraudsimError: the folder is no history, or the file cannot be written.
    """
    import msgspec

    from producers.history.reader import read_history

    rows = read_history(folder).transactions()
    lines = []
    for row in rows.slice(max(0, rows.num_rows - MOST_BODIES)).to_pylist():
        present = {name: value for name, value in row.items() if value is not None and name not in OWN_FIELDS}
        lines.append(msgspec.json.encode(present))
    try:
        path.write_bytes(b"\n".join(lines) + b"\n")
    except OSError as error:
        raise FraudsimError(f"{path}: {error.strerror}") from None
