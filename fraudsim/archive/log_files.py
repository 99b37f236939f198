"""The Parquet files of the archived log: `log/<topic>-<number>.parquet` in the run's folder.

Each file's footer names the offsets that it holds, so a restarted archiver need not read the rows.
"""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.layout import LAYOUTS
from fraudsim.archive.offset_ranges import Ranges, merge_ranges, ranges_of
from fraudsim.errors import InvariantError
from fraudsim.whole_files import whole_file

RANGES_KEY: Final = b"fraudsim.ranges"
"""Footer entry: {partition: [[first, last], …]} of the offsets in the file, JSON. Offsets without a record
(a transaction's marker, for one) belong to them where the archiver read past them."""
_FILE_NAME: Final = re.compile(r"(?P<topic>.+)-(?P<number>\d{6,})\.parquet")


def log_folder(run_dir: Path) -> Path:
    return run_dir / "log"


def log_files(run_dir: Path, topic: str) -> list[Path]:
    """The complete files of a topic, in the order they were written."""
    numbered: list[tuple[int, Path]] = []
    for path in log_folder(run_dir).glob(f"{topic}-*.parquet"):
        name = _FILE_NAME.fullmatch(path.name)
        if name and name["topic"] == topic:
            numbered.append((int(name["number"]), path))
    return [path for _, path in sorted(numbered)]


def write_file(run_dir: Path, topic: str, number: int, table: pa.Table, passed: Ranges | None = None) -> Path:
    """Write records of one topic, as `to_table` has them, as one file. On return it is complete and on disk.

    Args:
        passed: offsets read, by partition: those of the records, and those that hold none.

    Raises:
        InvariantError: the file exists.
    """
    path = log_folder(run_dir) / f"{topic}-{number:06d}.parquet"
    if path.exists():
        raise InvariantError(f"{path} exists: two archivers write to this folder")
    offsets = ranges_of(table)
    for partition, ranges in (passed or {}).items():
        offsets[partition] = merge_ranges([*offsets.get(partition, ()), *ranges])
    ranges_json = json.dumps({str(partition): ranges for partition, ranges in offsets.items()})
    table = table.replace_schema_metadata({RANGES_KEY: ranges_json.encode()})
    with whole_file(path) as temporary, temporary.open("wb") as file:
        # Values rarely repeat; dictionaries took a third more time and a sixth more space.
        pq.write_table(table, file, compression="zstd", use_dictionary=False)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def read_ranges(path: Path) -> Ranges:
    """The offsets that a file holds, from its footer.

    Raises:
        ValueError: not a complete file of the archiver.
    """
    try:
        footer = pq.read_metadata(path)
        document = json.loads((footer.metadata or {})[RANGES_KEY])
        return {int(p): [(first, last) for first, last in ranges] for p, ranges in document.items()}
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error


def read_archived(path: Path, topic: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The records of one file, sorted by (partition, offset), which must be among `columns`."""
    schema = LAYOUTS[topic].schema
    selected = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    table = pq.read_table(path, columns=selected.names, schema=selected).replace_schema_metadata(None)
    return _in_log_order(table)


def read_log(run_dir: Path, topic: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Every archived record of a topic, sorted by (partition, offset).

    Args:
        columns: only these, in this order; all of them by default.

    Raises:
        KeyError: the topic is not archived, or has no such column.
    """
    schema = LAYOUTS[topic].schema
    selected = schema.names if columns is None else list(columns)
    needed = list(dict.fromkeys(["partition", "offset", *selected]))
    empty = pa.schema([schema.field(name) for name in needed]).empty_table()
    tables = [read_archived(path, topic, needed) for path in log_files(run_dir, topic)]
    return _in_log_order(pa.concat_tables([empty, *tables])).select(selected)


def _in_log_order(table: pa.Table) -> pa.Table:
    return table.sort_by([("partition", "ascending"), ("offset", "ascending")])
