"""Reading a history from its directory: what happened before a run starts, in Parquet with a manifest.

The files are `transactions.parquet`, sorted by (ts, tx_id), or for equal times in the order of a public file;
`labels.parquet`, every label those transactions ever get, sorted by known_at, including labels known after
`end_ms`; `truth.parquet`, for evaluation only; and `manifest.json`, written last. Ids of a world are numbers
in these files, and the schema tells their format (`fraudsim.archive.id_columns`); `History` returns them as
texts.
"""

from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudsim.archive.id_columns import spelled
from fraudsim.errors import FraudsimError
from producers.history.manifest import LAYOUT_VERSION, HistoryManifest
from producers.history.tables import LABELS, TRANSACTIONS, TRUTH
from producers.labels.delays import LabelDelays
from producers.world.config import WorldConfig
from producers.world.world import WORLD_VERSION, World


class History:
    """An open history: its manifest, and its tables on demand."""

    def __init__(self, directory: Path, manifest: HistoryManifest) -> None:
        self.directory = directory
        self.manifest = manifest

    @property
    def transactions_path(self) -> Path:
        return self.directory / "transactions.parquet"

    @property
    def labels_path(self) -> Path:
        return self.directory / "labels.parquet"

    @property
    def truth_path(self) -> Path:
        return self.directory / "truth.parquet"

    def transactions(self, columns: list[str] | None = None) -> pa.Table:
        """Every transaction before `end_ms`, in order; the schema is `tables.TRANSACTIONS`."""
        return _read(self.transactions_path, columns)

    def labels(self, known_before_ms: int | None = None) -> pa.Table:
        """Labels sorted by known_at (`tables.LABELS`): all, or those known strictly before a time."""
        table = _read(self.labels_path, None)
        if known_before_ms is None:
            return table
        return table.filter(pc.less(table["known_at"], known_before_ms))

    def truth(self) -> pa.Table:
        """The truth (`tables.TRUTH`), one row per transaction; for evaluation only."""
        return _read(self.truth_path, None)


def read_history(directory: Path) -> History:
    """Open a history.

    Raises:
        FraudsimError: a file is missing or cannot be read, or its layout is of another version;
            the message names the file.
    """
    path = directory / "manifest.json"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=HistoryManifest)
    except FileNotFoundError:
        raise FraudsimError(
            f"history {path}: not there; `fraudsim world generate --out {directory}` makes one"
        ) from None
    except OSError as error:
        raise FraudsimError(f"history {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise FraudsimError(f"history {path}: {error}") from None
    if manifest.layout_version != LAYOUT_VERSION:
        raise FraudsimError(
            f"history {path}: layout_version={manifest.layout_version}, this program reads {LAYOUT_VERSION}; "
            "generate it anew"
        )
    history = History(directory, manifest)
    _check_file(history.transactions_path, TRANSACTIONS, manifest.transactions)
    _check_file(history.labels_path, LABELS, None)
    if history.truth_path.exists():
        _check_file(history.truth_path, TRUTH, manifest.transactions)
    return history


def _check_file(path: Path, schema: pa.Schema, rows: int | None) -> None:
    """Check that a file exists, is complete and belongs to the manifest; only its footer is read."""
    try:
        file = pq.read_metadata(path)
    except FileNotFoundError:
        raise FraudsimError(f"history {path}: not there; generate the history anew") from None
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(
            f"history {path}: {str(error).splitlines()[0]}; generate the history anew"
        ) from None
    present = file.schema.to_arrow_schema().names
    missing = next((name for name in schema.names if name not in present), None)
    if missing is not None:
        raise FraudsimError(f"history {path}: column {missing} is missing; generate the history anew")
    if rows is not None and file.num_rows != rows:
        raise FraudsimError(
            f"history {path}: has {file.num_rows:,} rows, manifest.json says {rows:,}: files of two "
            "histories were mixed; generate it anew"
        )


def world_of(history: History) -> World:
    """The world that a history was generated from, to continue with its live days.

    Raises:
        FraudsimError: the history comes from a public file, or from another version of the world.
    """
    manifest = history.manifest
    if manifest.source != "world":
        raise FraudsimError(f"history {history.directory}: source={manifest.source!r} is not a world")
    if manifest.version != WORLD_VERSION:
        raise FraudsimError(
            f"history {history.directory}: version={manifest.version} of the world, this program has "
            f"{WORLD_VERSION}; generate it anew"
        )
    config = dict(manifest.config)
    return World(WorldConfig(**{**config, "delays": LabelDelays(**config["delays"])}))


def _read(path: Path, columns: list[str] | None) -> pa.Table:
    if not path.is_file():
        raise FraudsimError(f"history {path}: not there; generate the history anew")
    try:
        return spelled(pq.read_table(path, columns=columns).unify_dictionaries())
    except (OSError, pa.ArrowException) as error:
        raise FraudsimError(f"history {path}: {str(error).splitlines()[0]}") from None
