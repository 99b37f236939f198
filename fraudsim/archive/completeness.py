"""Checks of the archived log: no record twice, no offset missing."""

from collections import defaultdict
from pathlib import Path

import pyarrow.compute as pc

from fraudsim.archive.log_files import log_files, read_log, read_ranges
from fraudsim.archive.offset_ranges import Ranges, gaps_in
from fraudsim.errors import InvariantError


def check_no_duplicates(run_dir: Path, topic: str) -> int:
    """The number of archived records of a topic.

    Raises:
        InvariantError: a (partition, offset) occurs more than once.
    """
    table = read_log(run_dir, topic, ["partition", "offset"])
    counts = table.group_by(["partition", "offset"]).aggregate([([], "count_all")])
    duplicates = counts.filter(pc.greater(counts["count_all"], 1))
    if duplicates.num_rows:
        first = duplicates.slice(0, 1).to_pylist()[0]
        raise InvariantError(
            f"{duplicates.num_rows} records of {topic} are archived more than once, the first is "
            f"partition {first['partition']} offset {first['offset']}"
        )
    return int(table.num_rows)


def missing_offsets(run_dir: Path, topic: str) -> Ranges:
    """Per partition, the ranges that the archive skips between offset 0 and the last one it holds."""
    archived: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for path in log_files(run_dir, topic):
        for partition, ranges in read_ranges(path).items():
            archived[partition] += ranges
    return {partition: gaps for partition, ranges in archived.items() if (gaps := gaps_in(ranges))}
