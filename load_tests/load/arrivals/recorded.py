"""The gaps between the transactions of a history's last day."""

from pathlib import Path
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles
from fraudsim.errors import FraudsimError

DAY_MS: Final = 86_400_000
FEWEST: Final = 100


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
