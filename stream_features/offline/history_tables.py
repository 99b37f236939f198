"""A history folder as offline engines and priming read it: two tables and a fingerprint."""

from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fraudsim.archive.id_columns import spelled
from fraudsim.errors import FraudsimError


def history_files(directory: Path) -> tuple[Path, Path]:
    """The files of a history folder's transactions and labels.

    Raises:
        FraudsimError: a file is missing.
    """
    files = directory / "transactions.parquet", directory / "labels.parquet"
    for path in files:
        if not path.exists():
            raise FraudsimError(f"{directory} has no {path.name}: write one with `fraudsim world generate`")
    return files


def read_history_tables(directory: Path) -> tuple[pa.Table, pa.Table]:
    """Transactions and labels of a history folder.

    Raises:
        FraudsimError: a file is missing.
    """
    transactions, labels = history_files(directory)
    return spelled(pq.read_table(transactions)), spelled(pq.read_table(labels))


class _Manifest(msgspec.Struct):
    fingerprint: str


def history_fingerprint(directory: Path) -> str:
    """The fingerprint in a history folder's manifest.

    Raises:
        FraudsimError: the manifest cannot be read.
    """
    path = directory / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Manifest).fingerprint
    except (OSError, msgspec.DecodeError) as error:
        raise FraudsimError(
            f"{path} cannot be read ({error}): write a history with `fraudsim world generate`"
        ) from None
