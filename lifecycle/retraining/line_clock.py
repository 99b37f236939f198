"""Event time of a running line, from the footers of its archive: each file is looked at once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.log_files import log_files
from fraudsim.errors import FraudsimError
from fraudsim.log.topics import DECISIONS


class LineClock:
    """The newest event time that the line has decided; only accepted payments are decided."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._seen: set[Path] = set()
        self._newest_ms: int | None = None

    def now_ms(self) -> int | None:
        """Event time just after the newest decision; None before the first.

        Raises:
            FraudsimError: a file cannot be read.
        """
        for path in log_files(self._run, DECISIONS):
            if path not in self._seen:
                newest = newest_of(path)
                self._seen.add(path)
                if newest is not None:
                    self._newest_ms = max(newest, self._newest_ms or 0)
        return None if self._newest_ms is None else self._newest_ms + 1


def newest_of(path: Path) -> int | None:
    """The newest event time in a file of decisions; None where it has no decision that can be read.

    Raises:
        FraudsimError: the file cannot be read.
    """
    try:
        footer = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        raise FraudsimError(
            f"{path}: {' '.join(str(error).split())[:200]}: restore it, or remove it and start the "
            "archiver, which reads its records again"
        ) from None
    index = footer.schema.names.index("ts")
    groups = (footer.row_group(number).column(index) for number in range(footer.num_row_groups))
    return max((g.statistics.max for g in groups if g.statistics and g.statistics.has_min_max), default=None)
